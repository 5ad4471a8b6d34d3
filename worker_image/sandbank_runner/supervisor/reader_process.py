"""One reader: a process that an interpreter, alive or asleep, has forked of itself to answer one question."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

from sandbank_runner.channel import Message, pair
from sandbank_runner.supervisor.endpoint import Endpoint
from sandbank_runner.supervisor.process_death import describe

WAITING_MESSAGES = 64
"""Messages that were not taken yet. They are taken as they come: only what is flooding us gets that far ahead."""


class ReaderGone(Exception):
    """The reader is dead; the text says how it died."""


class ReaderProcess:
    """Made before the process is: ``give`` is the end of its channel, for whoever is to fork it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        ours, theirs = pair()
        self.give = theirs.detach()
        self.dead: asyncio.Future[int] = loop.create_future()
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self._endpoint = Endpoint(loop, ours, self._said, self._ended)

    @property
    def pid(self) -> int:
        """Its process; -1 before it is forked."""
        return self._endpoint.pid

    def born(self, pid: int, watch: Callable[[int, Callable[[int], None]], None]) -> None:
        """It is process ``pid``."""
        self._endpoint.listen_to(pid)
        watch(pid, self._exited)

    async def message(self, seconds: float) -> Message:
        """Wait for what it says next. TimeoutError; :class:`ReaderGone` once it has said everything and is dead."""
        async with asyncio.timeout(seconds):
            message = await self._messages.get()
            if message is not None:
                return message
            status = await asyncio.shield(self.dead)
        raise ReaderGone(describe(status))

    def end(self) -> None:
        """Kill it, with what it may have started, and let go of its channel."""
        if self.pid > 1 and not self.dead.done():  # not reaped yet: nobody else can have its number
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(self.pid, signal.SIGKILL)
        self._endpoint.close()

    def when_gone(self, call: Callable[[], None]) -> None:
        """Call once it is dead and reaped, at once where it was never born."""
        if self.pid > 1 and not self.dead.done():
            self.dead.add_done_callback(lambda _: call())
        else:
            call()

    def _said(self, message: Message) -> None:
        if self._messages.qsize() < WAITING_MESSAGES:
            self._messages.put_nowait(message)
        else:
            self.end()

    def _ended(self) -> None:
        self._messages.put_nowait(None)

    def _exited(self, status: int) -> None:
        if not self.dead.done():
            self.dead.set_result(status)
            # Whoever it has forked may still hold the channel: there is nothing more to come of the reader itself.
            self._endpoint.drain()
            self._messages.put_nowait(None)
