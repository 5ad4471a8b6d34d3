"""FILES connections and the helper processes that serve them. The code for it is imported with the first one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from sandbank_runner.supervisor.interpreter_process import Watcher
from sandbank_runner.supervisor.template_process import TemplateProcess

if TYPE_CHECKING:
    from sandbank_runner.files.helper_link import FileHelper

CONNECTIONS = 32
"""Requests served at once; more wait in their sockets, unread."""


class FileConnections:
    """Serves what the link hands over."""

    def __init__(self, loop: asyncio.AbstractEventLoop, template: TemplateProcess, watcher: Watcher) -> None:
        self.helpers: set[int] = set()
        """The living helpers, and the keeper: no user code, so a sweep must not hit them."""
        self._at_work: set[int] = set()
        """Those that serve a request."""
        self._touches = 0
        self._loop = loop
        self._template = template
        self._watcher = watcher
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def touches(self) -> int:
        """Another number than before where a helper may have changed the workspace since."""
        if self._at_work:
            self._touches += 1
        return self._touches

    async def start_keeper(self) -> FileHelper:
        """Have the template fork a keeper of the workspace. Raises what ``TemplateProcess.keeper`` raises."""
        return await self._start(self._template.keeper)

    def open(self, sock: socket.socket) -> None:
        """Serve the request that comes on ``sock``; closes it in the end."""
        task = self._loop.create_task(self._serve(sock))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def clear_workspace(self) -> None:
        """Empty the workspace. Raises ``ClearingFailed``, ``ForkFailed``."""
        from sandbank_runner.files.connection import clear_workspace

        await clear_workspace(self._start_helper)

    async def undo_restores(self) -> None:
        """Rid the workspace of restores that were broken off, as far as that can be. Raises ``ForkFailed``."""
        from sandbank_runner.files.connection import ClearingFailed, undo_restores

        with contextlib.suppress(ClearingFailed):
            await undo_restores(self._start_helper)

    async def close(self) -> None:
        """Break off what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, sock: socket.socket) -> None:
        from sandbank_runner.files.connection import serve_connection

        try:
            async with self._places:
                await serve_connection(sock, self._start_helper)
        finally:
            sock.close()

    async def _start_helper(self) -> FileHelper:
        helper = await self._start(self._template.files, self._at_work)
        self._touches += 1
        return helper

    async def _start(
        self, fork: Callable[[int], Awaitable[int]], at_work: set[int] | None = None
    ) -> FileHelper:
        from sandbank_runner.files.helper_link import FileHelper

        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            pid = await fork(theirs.detach())
        except BaseException:
            ours.close()
            raise
        self.helpers.add(pid)
        if at_work is not None:
            at_work.add(pid)

        def ended(_: int) -> None:
            self.helpers.discard(pid)
            self._at_work.discard(pid)
            self._touches += 1

        self._watcher.watch(pid, ended)

        def kill() -> None:
            # In the set it has not been reaped, and its number belongs to nobody else.
            if pid in self.helpers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

        return FileHelper(ours, kill)
