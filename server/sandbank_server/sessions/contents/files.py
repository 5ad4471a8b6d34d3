"""The files of a session's workspace.

They are read and written inside the sandbox, by a helper process of the user that runs the code: neither the control
plane nor the supervisor ever opens a path that user code may have prepared.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from sandbank_runner.v1 import runner_pb2

from sandbank_server.errors import (
    BadFieldError,
    ChecksumMismatchError,
    DirectoryNotEmptyError,
    DomainError,
    FileNotFoundInWorkspaceError,
    SessionBusyError,
    TooLargeError,
    WorkspaceFullError,
)
from sandbank_server.runners.files import FileTransfer
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.runners.link import LinkClosed, RequestFailed
from sandbank_server.runtimes.dial import ImpostorEndpoint
from sandbank_server.sessions.life.session import Session

LIST_LIMIT = 1000
_PATH_BYTES = 4096
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999: what a Timestamp can say."""

_SHA256 = re.compile(r"[0-9a-f]{64}")

_ERRORS: dict[str, Callable[[str, str], DomainError]] = {
    "BAD_FIELD": lambda text, _path: BadFieldError.at("path", text),
    "CHECKSUM_MISMATCH": lambda text, _path: ChecksumMismatchError.at("sha256", text),
    "FILE_NOT_FOUND": lambda text, path: FileNotFoundInWorkspaceError(text, resource=path),
    "DIRECTORY_NOT_EMPTY": lambda text, path: DirectoryNotEmptyError(text, resource=path),
    "WORKSPACE_FULL": lambda text, _path: WorkspaceFullError(text),
    "TOO_LARGE": lambda text, _path: TooLargeError(text),
}


@dataclass(frozen=True, slots=True)
class Upload:
    """The header of an upload. ``size_bytes`` is -1 and ``sha256`` empty where they were not announced."""

    path: str
    mode: int = 0
    size_bytes: int = -1
    sha256: str = ""


class SessionFiles:
    """File use cases of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def upload(self, header: Upload, chunks: AsyncIterator[bytes]) -> runner_pb2.FileEntry:
        """Write a whole file or nothing. When ``chunks`` raises or ends early, nothing is left of it."""
        async with self._transfer(header.path) as transfer:
            transfer.start(
                upload=runner_pb2.FileRequest.Upload(
                    path=header.path, mode=header.mode, size_bytes=header.size_bytes, sha256=header.sha256
                )
            )
            # A sandbox that refuses (a full workspace) may hang up before the end: its answer says why.
            with contextlib.suppress(LinkClosed):
                await self._send(transfer, chunks)
            entry = check_entry((await transfer.answer()).info)
        self._session.operations.log.upload(posixpath.normpath(header.path))
        await self._session.changed_outside()
        return entry

    @staticmethod
    async def _send(transfer: FileTransfer, chunks: AsyncIterator[bytes]) -> None:
        async for chunk in chunks:
            if transfer.answered:
                return
            await transfer.send_chunk(chunk)
        await transfer.send_chunk(b"", last=True)

    @contextlib.asynccontextmanager
    async def download(
        self, path: str, offset: int, length: int
    ) -> AsyncIterator[tuple[runner_pb2.FileEntry, AsyncIterator[bytes]]]:
        """Yield a file's entry and the pieces of the range asked for."""
        async with self._transfer(path) as transfer:
            request = runner_pb2.FileRequest.Download(path=path, offset_bytes=offset, length_bytes=length)
            entry = check_entry((await transfer.ask(download=request)).info)
            yield entry, transfer.chunks()

    async def stat(self, path: str) -> runner_pb2.FileEntry:
        """Return one entry, with the hash of a regular file."""
        async with self._transfer(path) as transfer:
            request = runner_pb2.FileRequest.Stat(path=path, with_sha256=True)
            return check_entry((await transfer.ask(stat=request)).info)

    async def list(
        self, path: str, after: str, limit: int, *, recursive: bool
    ) -> tuple[list[runner_pb2.FileEntry], bool]:
        """Return up to ``limit`` entries after a path, and whether there are more."""
        async with self._transfer(path) as transfer:
            request = runner_pb2.FileRequest.List(
                path=path, recursive=recursive, after_path=after, limit=limit
            )
            reply = await transfer.ask(list=request)
        if len(reply.list) > limit:
            raise SessionBusyError("the sandbox gave a listing that it was not asked for", retry_delay=1.0)
        return [check_entry(entry) for entry in reply.list], reply.more

    async def delete(self, path: str, *, recursive: bool) -> None:
        """End a file, a link or a directory."""
        async with self._transfer(path) as transfer:
            await transfer.ask(delete=runner_pb2.FileRequest.Delete(path=path, recursive=recursive))
        self._session.operations.log.remove_files(posixpath.normpath(path))
        await self._session.changed_outside()

    async def make_directory(self, path: str) -> runner_pb2.FileEntry:
        """Make a directory and its parents."""
        async with self._transfer(path) as transfer:
            request = runner_pb2.FileRequest.MakeDirectory(path=path)
            entry = check_entry((await transfer.ask(make_directory=request)).info)
        await self._session.changed_outside()
        return entry

    @contextlib.asynccontextmanager
    async def _transfer(self, path: str) -> AsyncIterator[FileTransfer]:
        check_path(path)
        link = await self._session.usable()
        try:
            with self._session.in_use():
                async with FileTransfer(link.endpoint) as transfer:
                    yield transfer
        except RequestFailed as error:
            make = _ERRORS.get(error.reason)
            if make is None:
                raise SessionBusyError(
                    "the sandbox could not do it now; try again", retry_delay=1.0
                ) from error
            raise make(error.message, path) from error
        except (RunnerViolation, ImpostorEndpoint) as error:
            link.violate(RunnerViolation(str(error)))
            raise SessionBusyError("the sandbox broke the protocol", retry_delay=1.0) from error
        except OSError as error:  # gone, stuck, or no descriptor left here
            raise SessionBusyError(
                "the sandbox did not answer, or died; nothing was changed by an upload", retry_delay=0.5
            ) from error


def check_path(path: str) -> None:
    """Refuse what can be no path of a workspace; the sandbox checks what it leads to."""
    if "\0" in path:
        raise BadFieldError.at("path", "must not contain a null byte")
    if path.startswith("/"):
        raise BadFieldError.at("path", "must be relative to the workspace")
    if ".." in path.split("/"):
        raise BadFieldError.at("path", "must not contain '..'")
    if len(path.encode("utf-8")) > _PATH_BYTES:
        raise BadFieldError.at("path", f"must not be over {_PATH_BYTES} bytes")


def check_entry(entry: runner_pb2.FileEntry) -> runner_pb2.FileEntry:
    """Return an entry as it may go to a client; the sandbox wrote it, so it is bounded here."""
    if len(entry.path) > 4 * _PATH_BYTES or entry.size_bytes < 0 or entry.mode > 0o177777:
        raise RunnerViolation("malformed file entry")
    if entry.sha256 and not _SHA256.fullmatch(entry.sha256):
        raise RunnerViolation("malformed hash")
    time = entry.modify_time
    if not 0 <= time.nanos <= 999_999_999 or not _FIRST_SECOND <= time.seconds <= _LAST_SECOND:
        raise RunnerViolation("malformed time")
    return entry
