"""Where the operation logs of all sessions lie."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from sandbank_server.sessions.log.operation_log import OperationLog

_SUFFIX = ".log"
_TENANT_PREFIX = "t-"
_SYNC_THREADS = 4
"""Logs synced at once: a disk does several in little more time than one."""

_READ_ASIDE_BYTES = 256 * 1024
"""A log of this size takes a few milliseconds to read; larger ones are read in a thread."""


class LogStore:
    """One file per session, in a directory per tenant."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._threads = ThreadPoolExecutor(_SYNC_THREADS, thread_name_prefix="log-syncs")

    def open(self, tenant: str, session_id: str) -> OperationLog:
        """Open or make the log of a session that lives. OSError when that fails."""
        os.makedirs(os.path.join(self._directory, _TENANT_PREFIX + tenant), mode=0o700, exist_ok=True)
        return OperationLog(self._path(tenant, session_id), session_id, threads=self._threads)

    async def close(self) -> None:
        """Wait for syncs that are under way; those that are asked for from now on fail."""
        await asyncio.to_thread(self._threads.shutdown)

    async def read(self, tenant: str, session_id: str) -> OperationLog:
        """Return the log of a session that has ended, for reading; an empty one where there is none.

        It holds no descriptor.
        """
        path = self._path(tenant, session_id)
        try:
            size = os.stat(path).st_size
        except FileNotFoundError:
            path, size = os.devnull, 0
        if size > _READ_ASIDE_BYTES:
            log = await asyncio.to_thread(OperationLog, path, session_id, readonly=True)
        else:
            log = OperationLog(path, session_id, readonly=True)
        log.close()
        return log

    def remove(self, tenant: str, session_id: str) -> None:
        """Remove the log of a session that nobody may read any more. Idempotent."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(tenant, session_id))

    def made_before(self, time: float) -> Iterator[tuple[str, str]]:
        """Yield tenant and session id of every log that was last written before ``time``, seconds since 1970."""
        with contextlib.suppress(FileNotFoundError):
            for directory in os.scandir(self._directory):
                if directory.name.startswith(_TENANT_PREFIX) and directory.is_dir(follow_symlinks=False):
                    yield from self._of_tenant(directory.path, time)

    @staticmethod
    def _of_tenant(directory: str, time: float) -> Iterator[tuple[str, str]]:
        tenant = os.path.basename(directory).removeprefix(_TENANT_PREFIX)
        for entry in os.scandir(directory):
            with contextlib.suppress(FileNotFoundError):
                if entry.name.endswith(_SUFFIX) and entry.stat(follow_symlinks=False).st_mtime < time:
                    yield tenant, entry.name.removesuffix(_SUFFIX)

    def _path(self, tenant: str, session_id: str) -> str:
        # Both are ids of ours or checked against [A-Za-z0-9._-]{1,128}; with prefix and suffix neither is "..".
        return os.path.join(self._directory, _TENANT_PREFIX + tenant, session_id + _SUFFIX)
