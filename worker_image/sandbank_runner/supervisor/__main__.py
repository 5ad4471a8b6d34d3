"""``python -m sandbank_runner.supervisor``: first the walls, then everything that needs more than they do."""

from __future__ import annotations

import gc
import sys
import time

from sandbank_runner.supervisor import stand_ins

stand_ins.install()  # before whatever imports what they stand in for

from sandbank_runner.supervisor.boot import BootError, boot  # noqa: E402
from sandbank_runner.supervisor.config import ConfigError, take_from_environment  # noqa: E402
from sandbank_runner.supervisor.ending import EXIT_CONFIG  # noqa: E402
from sandbank_runner.supervisor.lean_imports import keep_out  # noqa: E402


def main() -> int:
    """Run the supervisor to its end and return the exit code."""
    begin = time.monotonic()
    gc.disable()  # until :func:`freeze`: what is imported stays, so a collector only looks through it again and again
    try:
        config = take_from_environment()
        booted = boot(config)
    except (ConfigError, BootError, OSError) as error:
        sys.stderr.write(f"supervisor: {error}\n")
        return EXIT_CONFIG
    keep_out()
    import asyncio

    from sandbank_runner.supervisor.app import Supervisor

    async def run() -> int:
        end = await Supervisor(asyncio.get_running_loop(), config, booted, begin).run()
        if end.message:
            sys.stderr.write(f"supervisor: {end.message}\n")
        return end.code

    return asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
