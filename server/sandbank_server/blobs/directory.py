"""Blobs as files in a directory. A file appears whole or not at all, and stays through a power cut."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from sandbank_server.blobs.base import BlobInfo, BlobNotFoundError, BlobStoreError, check_key

_T = TypeVar("_T")
_INCOMING: Final = ".incoming"
_THREADS: Final = 4
_WRITERS: Final = 8
"""Files that are written at once: a disk syncs several in little more time than one."""
_PAGE: Final = 1000


class DirectoryBlobs:
    """A :class:`BlobStore` in the directory ``root``, which is made. One process at a time may use it."""

    def __init__(self, root: Path) -> None:
        """OSError where the directory cannot be made. What a crash left half-written is removed."""
        self._root = root
        self._incoming = root / _INCOMING
        self._incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in self._incoming.iterdir():
            left.unlink()
        for directory in (root, root.parent):
            _sync_directory(directory)
        self._named: set[Path] = set()
        """Directories whose own name is known to stay through a power cut."""
        self._whole: set[Path] = set()
        """Directories of which that is known of all that was in them when this process first looked: the one before it
        may have been killed before it synced what it put there."""
        self._arriving: set[Path] = set()
        """Files that have their name and may lose it: nobody may count on them yet."""
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="blobs")
        self._writers = ThreadPoolExecutor(_WRITERS, thread_name_prefix="blob-writes")

    async def put(self, blobs: Mapping[str, bytes]) -> None:
        """See :class:`BlobStore`. Content first, then names, then the directories that hold the names."""
        for key in blobs:
            check_key(key)
        await self._in_thread(lambda: self._put(blobs))

    async def get(self, key: str) -> bytes:
        """See :class:`BlobStore`."""
        path = self._path(key)

        def read() -> bytes:
            try:
                return path.read_bytes()
            except (FileNotFoundError, IsADirectoryError):
                raise BlobNotFoundError(key) from None

        return await self._in_thread(read)

    async def present(self, keys: Iterable[str]) -> set[str]:
        """See :class:`BlobStore`."""
        paths = {key: self._path(key) for key in keys}
        return await self._in_thread(lambda: self._present(paths))

    async def delete(self, keys: Iterable[str]) -> None:
        """See :class:`BlobStore`."""
        paths = [self._path(key) for key in keys]

        def remove() -> None:
            for path in paths:
                path.unlink(missing_ok=True)
            for parent in {path.parent for path in paths}:
                with suppress(FileNotFoundError):
                    _sync_directory(parent)

        await self._in_thread(remove)

    async def list(self, prefix: str) -> AsyncIterator[BlobInfo]:
        """See :class:`BlobStore`."""
        top = self._path(prefix)
        found = await self._in_thread(lambda: sorted(_files(top)))
        for first in range(0, len(found), _PAGE):
            names = found[first : first + _PAGE]
            for info in await self._in_thread(lambda names=names: list(self._describe(names))):  # type: ignore[misc]
                yield info

    async def close(self) -> None:
        """See :class:`BlobStore`."""
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._writers.shutdown)

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    def _put(self, blobs: Mapping[str, bytes]) -> None:
        written = [(self._incoming / secrets.token_hex(16), self._path(key)) for key in blobs]
        try:
            self._at_once(_write, [incoming for incoming, _ in written], blobs.values())
            parents = list({path.parent for _, path in written})
            self._make(parents)
            # Whoever asks whether one is there after it has its name looks here after that, see _present.
            self._arriving.update(path for _, path in written)
            for incoming, path in written:
                incoming.replace(path)
            self._at_once(_sync_directory, parents)
        except BaseException:
            for incoming, _ in written:
                incoming.unlink(missing_ok=True)
            raise
        self._whole.update(parents)
        self._arriving.difference_update(path for _, path in written)

    def _present(self, paths: Mapping[str, Path]) -> set[str]:
        """Return those whose file is there to stay; others are to be put again."""
        there = {key: path for key, path in paths.items() if path.is_file()}
        there = {key: path for key, path in there.items() if path not in self._arriving}
        unknown = {path.parent for path in there.values()} - self._whole
        if unknown:
            self._make(unknown)
            self._at_once(_sync_directory, unknown)
            self._whole.update(unknown)
        return set(there)

    def _at_once(self, work: Callable[..., None], *arguments: Iterable[object]) -> None:
        """Do the work for each; all of it is over when this returns or raises."""
        jobs = list(zip(*arguments, strict=True))
        if len(jobs) == 1:
            work(*jobs[0])
            return
        started = [self._writers.submit(work, *job) for job in jobs]
        wait(started)
        for job in started:
            job.result()

    def _make(self, directories: Iterable[Path]) -> None:
        """Make directories durably: what holds them is synced, also where another thread or process has made them."""
        new = [each for each in directories if each not in self._named or not each.is_dir()]
        if not new:
            return
        holders = {directory.parent for directory in new}
        self._make(holders - {self._root})
        for directory in new:
            with suppress(FileExistsError):
                directory.mkdir(mode=0o700)
        for holder in holders:
            _sync_directory(holder)
        self._named.update(new)

    def _describe(self, paths: Iterable[str]) -> Iterable[BlobInfo]:
        for path in paths:
            with suppress(FileNotFoundError):  # deleted meanwhile
                status = os.stat(path)
                key = os.path.relpath(path, self._root)
                yield BlobInfo(key, status.st_size, status.st_mtime)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            raise BlobStoreError(f"the blob directory: {error.strerror or error}") from error


def _files(top: Path) -> Iterable[str]:
    for directory, _, names in os.walk(top):
        for name in names:
            yield os.path.join(directory, name)


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
