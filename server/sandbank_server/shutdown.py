"""How a control plane is told to end.

SIGTERM and SIGINT: drain, and leave the sandboxes of sessions running for the next start. SIGUSR1
(`sandbank drain --end`): drain, and end all sessions and sandboxes. A second SIGINT: do not wait for open
calls.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final, Self

DRAIN: Final = (signal.SIGTERM, signal.SIGINT)
END: Final = signal.SIGUSR1


class Shutdown:
    """Waits for a signal; a context manager around the life of the server, on its event loop."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._hurry = asyncio.Event()
        self.end_sessions = False

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in DRAIN:
            loop.add_signal_handler(number, self.ask)
        loop.add_signal_handler(END, lambda: self.ask(end_sessions=True))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in (*DRAIN, END):
            loop.remove_signal_handler(number)

    def ask(self, *, end_sessions: bool = False) -> None:
        """Ask for the end; once more: hurry."""
        if self._asked.is_set() and not end_sessions:
            self._hurry.set()
        self.end_sessions = self.end_sessions or end_sessions
        self._asked.set()

    async def wait(self) -> bool:
        """Wait until the end is asked for; return whether sessions end too (``end_sessions`` may still change)."""
        await self._asked.wait()
        return self.end_sessions

    async def grace(self, seconds: float, done: Coroutine[Any, Any, object]) -> None:
        """Wait for ``done`` at most ``seconds``, less when told to hurry."""
        work = asyncio.ensure_future(done)
        hurry = asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait((work, hurry), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurry.cancel()
            if not work.done():
                work.cancel()
            await asyncio.gather(work, hurry, return_exceptions=True)
