"""FILES connections and the helper processes that serve them. The code for it is imported with the first one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
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
        """The living helpers: no user code, so a sweep must not hit them."""
        self._loop = loop
        self._template = template
        self._watcher = watcher
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, sock: socket.socket, read: bytes) -> None:
        """Serve the request that comes on ``sock``, of which ``read`` was read already; closes it in the end."""
        task = self._loop.create_task(self._serve(sock, read))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def clear_workspace(self) -> None:
        """Empty the workspace. Raises ``ClearingFailed``, ``ForkFailed``."""
        from sandbank_runner.files.connection import clear_workspace

        await clear_workspace(self._start_helper)

    async def close(self) -> None:
        """Break off what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, sock: socket.socket, read: bytes) -> None:
        from sandbank_runner.files.connection import serve_connection

        try:
            async with self._places:
                await serve_connection(sock, read, self._start_helper)
        finally:
            sock.close()

    async def _start_helper(self) -> FileHelper:
        from sandbank_runner.files.helper_link import FileHelper

        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            pid = await self._template.files(theirs.detach())
        except BaseException:
            ours.close()
            raise
        self.helpers.add(pid)
        self._watcher.watch(pid, lambda _: self.helpers.discard(pid))

        def kill() -> None:
            # In the set it has not been reaped, and its number belongs to nobody else.
            if pid in self.helpers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

        return FileHelper(ours, kill)
