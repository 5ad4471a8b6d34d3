"""Deaths of supervisors, by process descriptors on the event loop: at once, for children and adopted ones alike."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from sandbank_server.runtimes.local.processes import Process


class SupervisorWatch:
    """Watches one process and reaps it when it is a child. ``on_death`` gets its exit code, None when unknown.

    The code of a process killed by a signal is 128 and the signal's number, as with containers.
    """

    def __init__(self, process: Process, on_death: Callable[[int | None], None]) -> None:
        """Raise ProcessLookupError when it is dead and gone."""
        self.process = process
        self.dead = asyncio.Event()
        self._on_death = on_death
        self._loop = asyncio.get_running_loop()
        self._descriptor = os.pidfd_open(process.pid)
        self._loop.add_reader(self._descriptor, self._died)

    def close(self) -> None:
        """Stop watching."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _died(self) -> None:
        exit_code: int | None = None
        with suppress(ChildProcessError):  # adopted: its exit code is its new parent's
            status = os.waitid(os.P_PIDFD, self._descriptor, os.WEXITED | os.WNOHANG)
            if status is not None:
                exited = status.si_code == os.CLD_EXITED
                exit_code = status.si_status if exited else 128 + status.si_status
        self.close()
        self.dead.set()
        self._on_death(exit_code)
