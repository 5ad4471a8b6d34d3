"""``python -m sandbank_runner.template``: executed by the supervisor, channel on descriptor 3."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from typing import NoReturn

from sandbank_runner.channel import Channel
from sandbank_runner.supervisor.config import SandboxConfig, parse
from sandbank_runner.template.birth import Origin
from sandbank_runner.template.environment import SANDBOX_VARIABLE, settle
from sandbank_runner.template.plan import make_plan
from sandbank_runner.template.preload import forget_origin, freeze, preload
from sandbank_runner.template.server import TemplateServer
from sandbank_runner.template.sharing import keep_shared
from sandbank_runner.walls import capabilities, process_flags, securebits, users
from sandbank_runner.walls.descriptors import TEMPLATE_CHANNEL


def main() -> NoReturn:
    """Serve the supervisor until it is gone."""
    gc.disable()  # until :func:`freeze`
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.set_inheritable(TEMPLATE_CHANNEL, False)
    channel = Channel(socket.socket(fileno=TEMPLATE_CHANNEL))
    try:
        message = channel.receive()
    except EOFError:
        os._exit(0)
    if message.header.get("type") != "configure":
        raise SystemExit("the template's first message must be configure")
    config = parse(message.header["config"])
    missing = _give_up_root(config)
    settle(config, os.environ)
    plan = make_plan(config, missing)
    process_flags.die_with_parent()
    forget_origin()
    import sandbank_runner.files.helper
    import sandbank_runner.files.keeper
    import sandbank_runner.interpreter  # noqa: F401 - a fork finds them imported
    from sandbank_runner.interpreter.checkpoints import preloaded

    keep_shared()
    failed, milliseconds = preload(config.preload)
    preloaded.remember()
    freeze()
    if config.mode == "local":
        # From here on the end of the channel tells, and leaves time to clean up.
        process_flags.die_with_parent(0)
    server = TemplateServer(channel, Origin(config, plan))
    server.announce(milliseconds, failed)
    server.serve()
    if config.mode == "local":
        _end_what_is_left(config)
    os._exit(0)


def _give_up_root(config: SandboxConfig) -> list[str]:
    """Become Z with SETUID and SETGID only. Return the names of walls that this kernel does not have."""
    missing: list[str] = []
    if config.users is not None:
        try:
            securebits.lock()
        except OSError:
            missing.append("securebits")
        capabilities.empty_bounding_set()
        capabilities.clear_ambient_set()
        users.become(config.users.template, keep=(capabilities.SETUID, capabilities.SETGID))
    process_flags.give_up_new_privileges()
    process_flags.set_dumpable(False)
    process_flags.set_name("template")
    return missing


def _end_what_is_left(config: SandboxConfig) -> None:
    """Kill what user code started: with the supervisor gone, nobody else would."""
    from sandbank_runner.supervisor.sweep import kill_marked

    kill_marked(f"{SANDBOX_VARIABLE}={config.sandbox_id}", keep={os.getpid()})


if __name__ == "__main__":
    sys.exit(main())
