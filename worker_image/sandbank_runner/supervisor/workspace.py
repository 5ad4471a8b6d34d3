"""The workspace as the session sees it: the bases that it can be brought back to, and whether others changed it.

The copies are with a keeper, a process of its own (``files/keeper.py``) that is started when the first base is taken.
It acts as user code's user: what it says is checked, and where it dies, its bases are gone and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sandbank_runner.supervisor import refusals
from sandbank_runner.supervisor.file_connections import FileConnections
from sandbank_runner.supervisor.interpreter_messages import escaped
from sandbank_runner.supervisor.refusals import Refusal
from sandbank_runner.supervisor.template_process import ForkFailed

if TYPE_CHECKING:
    from sandbank_runner.files.helper_link import FileHelper, HelperLink

WORKSPACE_COPY_BYTES = 256 * 1024 * 1024
"""What a session may keep of its workspace, unless it says otherwise."""

REQUEST_SECONDS = 120.0
"""How long the keeper may take: it shares its processor with user code, and its bound with nobody."""


class KeeperFailed(Exception):
    """The keeper is gone, or could not do what it was asked for. The text is for users."""


class Workspace:
    """Bases by number. ``limit`` and ``pinned`` are the session's to set."""

    def __init__(self, loop: asyncio.AbstractEventLoop, files: FileConnections) -> None:
        self.limit = WORKSPACE_COPY_BYTES
        """Bytes that all copies together may come to."""
        self.pinned: Callable[[], set[int]] = set
        """Bases that must stay within reach."""
        self.refusal: Refusal | None = None
        """Why the last attempt gave no base; stays until :meth:`forget_refusal`."""
        self._loop = loop
        self._files = files
        self._helper: FileHelper | None = None
        self._link: HelperLink | None = None
        self._lock = asyncio.Lock()
        self._number = 0
        self._bases: set[int] = set()
        self._standing: tuple[int, int, int] | None = None
        """The newest effect and the touches when the newest base was taken, and its number."""
        self._told = 0
        """Touches that the interpreter knows of."""
        self._taking: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def taking(self) -> bool:
        """Whether a base is being taken."""
        return self._taking is not None

    def standing(self, newest: int) -> int | None:
        """Return the base of the workspace as it is, None where something ran or was uploaded since it was taken.

        ``newest`` is the number of the newest effect.
        """
        if self._standing is None or self._standing[:2] != (newest, self._files.touches):
            return None
        return self._standing[2]

    def take(self, newest: int, then: Callable[[int | None], None]) -> None:
        """Take a base of the workspace as it is, and tell ``then``; where there is none, ``refusal`` says why."""
        assert self._taking is None

        async def work() -> None:
            number = None
            try:
                number = await self._take(newest)
            finally:
                self._taking = None
            then(number)

        self._taking = self._loop.create_task(work())

    async def settled(self) -> None:
        """Wait until no base is being taken."""
        if self._taking is not None:
            await asyncio.wait({self._taking})

    async def bring_back(self, number: int) -> bool:
        """Bring the workspace back to a base; False where it could not be, or not wholly."""
        if number not in self._bases:
            return False
        self._standing = None
        try:
            await self._ask({"request": "restore", "number": number})
        except KeeperFailed:
            return False
        return True

    async def undo_restores(self) -> None:
        """Rid it of what a restore left that was broken off. Raises ``ForkFailed``."""
        await self._files.undo_restores()

    def tidy(self) -> None:
        """Let go of the bases that nobody needs."""
        for number in self._bases - self.pinned():
            self._bases.discard(number)
            if self._standing is not None and self._standing[2] == number:
                self._standing = None
            task = self._loop.create_task(self._drop(number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def forget_refusal(self) -> None:
        """Whoever asks next may have better luck."""
        self.refusal = None

    def has_news(self) -> bool:
        """Whether the workspace was changed by others since the last call: the interpreter has to look at it anew."""
        touches, self._told = self._told, self._files.touches
        return touches != self._told

    def forget(self) -> None:
        """Nobody knows any more what is in it: a base is taken and the interpreter looks at it anew."""
        self._standing = None
        self._told = -1

    def close(self) -> None:
        """End the keeper and what waits for it."""
        for task in (*self._tasks, *([self._taking] if self._taking else ())):
            task.cancel()
        self._end_keeper()

    async def _take(self, newest: int) -> int | None:
        self._number += 1
        number, touches = self._number, self._files.touches
        request = {"request": "base", "number": number, "limit": self.limit}
        self.refusal = None
        try:
            try:
                answer = await self._ask(request)
            except KeeperFailed:  # it had died before
                answer = await self._ask(request)
        except KeeperFailed as error:
            self.refusal = refusals.no_snapshot(f"the workspace cannot be kept: {error}")
            return None
        failure = answer.get("failure")
        if failure is not None:
            self.refusal = refusals.files_too_large(escaped(str(failure.get("message", ""))[:500]))
            return None
        if answer.get("touched") is True:
            self._told = -1
        self._bases.add(number)
        self._standing = (newest, touches, number)
        return number

    async def _drop(self, number: int) -> None:
        if self._link is not None:
            try:
                await self._ask({"request": "drop", "number": number})
            except KeeperFailed:
                return

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer, which may be the failure FILES_TOO_LARGE; any other raises :class:`KeeperFailed`."""
        from sandbank_runner.files.helper_link import HelperGone, HelperLink
        from sandbank_runner.files.protocol import HEADER, FileProtocolError, pack_header, parse_header

        async with self._lock:
            try:
                if self._link is None:
                    self._helper = await self._files.start_keeper()
                    self._link = HelperLink(self._helper.socket)
                await self._link.send(pack_header(request))
                async with asyncio.timeout(REQUEST_SECONDS):
                    kind, body = await self._link.receive()
                if kind != HEADER:
                    raise FileProtocolError("the keeper answers with a header")
                answer = parse_header(body)
            except BaseException as error:
                self._end_keeper()  # also where only the waiting was broken off: the answer is still to come
                if isinstance(error, (OSError, HelperGone, FileProtocolError, ForkFailed)):
                    raise KeeperFailed(str(error) or "it took too long") from error
                raise
        failure = answer.get("failure")
        if failure is not None and (
            not isinstance(failure, dict) or failure.get("reason") != "FILES_TOO_LARGE"
        ):
            message = failure.get("message") if isinstance(failure, dict) else "no sensible answer"
            raise KeeperFailed(escaped(str(message)[:500]))
        return answer

    def _end_keeper(self) -> None:
        helper, self._helper, self._link = self._helper, None, None
        self._bases.clear()
        self._standing = None
        if helper is not None:
            helper.kill()
            helper.socket.close()
