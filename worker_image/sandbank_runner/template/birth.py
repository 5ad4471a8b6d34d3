"""What a process does between being forked from the template and running anything of the user's.

The order is the kernel's: users before dumpability, which a change of user takes away; dumpability before the
process's own ``/proc`` files; limits, priority and CPUs before the filter that would refuse them; Landlock
before the filter, because it needs no call that the filter denies.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from sandbank_runner.channel import Channel
from sandbank_runner.supervisor.config import SandboxConfig
from sandbank_runner.template.plan import WallPlan
from sandbank_runner.walls import (
    landlock,
    memory_order,
    process_flags,
    processor,
    rlimits,
    seccomp_filter,
    users,
)
from sandbank_runner.walls.descriptors import CHANNEL, close_all_but

WALLS_FAILED = 71
"""Exit code of a process that could not put up its walls; it ran nothing of the user's."""
_ENDED = 70

_FILE_REQUEST_SECONDS = 2 * 3600
"""The kernel ends a file helper that everyone has forgotten; the supervisor's own limits are shorter."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What the template hands to its children."""

    config: SandboxConfig
    plan: WallPlan


def become_interpreter(origin: Origin, channel: int, stdout: int, stderr: int) -> NoReturn:
    """Run a fresh interpreter on the descriptors given, in the child of a clone with all signals blocked."""
    code = WALLS_FAILED
    try:
        os.setsid()
        _arrange_descriptors(origin, channel, stdout, stderr)
        _put_up_walls(
            origin, become=users.become_code, score=memory_order.LIVE, ruleset=origin.plan.code_ruleset
        )
        process_flags.set_name("interpreter")
        _enter(origin.config.workspace)
        sys.path.insert(0, "")  # as in any interactive Python
        _reseed()
        signal.pthread_sigmask(
            signal.SIG_SETMASK, {signal.SIGINT}
        )  # until the interpreter's handler is there
        code = _ENDED
        from sandbank_runner.interpreter import main

        settings = {**origin.config.to_message(), "missing_walls": list(origin.plan.missing)}
        main(Channel(socket.socket(fileno=CHANNEL)), settings)
    except BaseException as error:
        _complain(error)
    os._exit(code)


def become_file_helper(origin: Origin, connection: int) -> NoReturn:
    """Serve one file request on ``connection``, in the child of a clone with all signals blocked."""

    def serve(sock: socket.socket) -> None:
        from sandbank_runner.files.helper import serve

        signal.alarm(_FILE_REQUEST_SECONDS)
        serve(sock, origin.config.workspace)

    _become_servant(origin, connection, "files", memory_order.HISTORY, serve)


def become_keeper(origin: Origin, connection: int) -> NoReturn:
    """Keep copies of the workspace until ``connection`` ends, likewise. Without it nothing can be brought back."""

    def serve(sock: socket.socket) -> None:
        from sandbank_runner.files.keeper import serve

        serve(sock, origin.config.workspace)

    _become_servant(origin, connection, "keeper", memory_order.RESTORE_POINT, serve)


def _become_servant(
    origin: Origin, connection: int, name: str, score: int, serve: Callable[[socket.socket], None]
) -> NoReturn:
    """Act on files as user code does, out of its reach."""
    code = WALLS_FAILED
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        _arrange_descriptors(origin, connection, nothing, nothing)
        ruleset = origin.plan.files_ruleset
        _put_up_walls(origin, become=users.become_file_helper, score=score, ruleset=ruleset)
        process_flags.set_name(name)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        code = _ENDED
        serve(socket.socket(fileno=CHANNEL))
        code = 0
    except BaseException as error:
        _complain(error)
    os._exit(code)


def _arrange_descriptors(origin: Origin, channel: int, stdout: int, stderr: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(nothing, 0)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.dup2(channel, CHANNEL, inheritable=False)
    rulesets = (origin.plan.code_ruleset, origin.plan.files_ruleset)
    close_all_but((0, 1, 2, CHANNEL, *(ruleset.descriptor for ruleset in rulesets if ruleset)))


def _put_up_walls(
    origin: Origin, *, become: Callable[[users.Users], None], score: int, ruleset: landlock.Ruleset | None
) -> None:
    config, plan = origin.config, origin.plan
    if config.users is not None:
        become(config.users)
    process_flags.die_with_parent()
    process_flags.set_dumpable(True)
    memory_order.raise_score(score)
    rlimits.apply(
        processes=config.process_limit if config.users else None, open_files=config.open_files_limit
    )
    processor.hold(plan.cpus)  # late: from here on the set-up itself is niced
    os.umask(0o022)
    if ruleset is not None:
        ruleset.enter()
    close_all_but((0, 1, 2, CHANNEL))
    if plan.filter_program is not None:
        seccomp_filter.enter(plan.filter_program)


def _enter(workspace: str) -> None:
    """Make the workspace the current directory, also when code before has closed it to itself."""
    try:
        os.chdir(workspace)
    except PermissionError:
        os.chmod(workspace, 0o700)
        os.chdir(workspace)


def _reseed() -> None:
    """Give the fork random numbers of its own; generators that do not exist yet need nothing."""
    import random

    random.seed()
    numeric = sys.modules.get("numpy.random")
    if numeric is not None:
        numeric.seed()


def _complain(error: BaseException) -> None:
    os.write(2, f"sandbox: {type(error).__name__}: {error}\n".encode("utf-8", "backslashreplace")[:2000])
