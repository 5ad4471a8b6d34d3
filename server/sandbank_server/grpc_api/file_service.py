"""FileService: requests to use cases and back."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from sandbank.v1 import file_pb2
from sandbank_runner.v1 import runner_pb2

from sandbank_server.errors import BadFieldError
from sandbank_server.grpc_api import validation as check
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.paging import PageTokens
from sandbank_server.sessions.contents.files import SessionFiles, Upload
from sandbank_server.sessions.manager import SessionManager

_SHA256 = re.compile(r"[0-9a-f]{64}")


class FileService:
    """The servicer."""

    def __init__(self, sessions: SessionManager, tokens: PageTokens) -> None:
        self._sessions = sessions
        self._tokens = tokens

    async def UploadFile(
        self, requests: AsyncIterator[file_pb2.UploadFileRequest], call: CallContext
    ) -> file_pb2.UploadFileResponse:
        """Write a whole file, or nothing."""
        first = await anext(requests, None)
        if first is None or not first.HasField("header"):
            raise BadFieldError.at("header", "must come first")
        header = first.header
        if header.mode & ~0o777:
            raise BadFieldError.at("header.mode", "must be permission bits")
        if header.size_bytes < 0:
            raise BadFieldError.at("header.size_bytes", "must not be negative")
        if header.sha256 and not _SHA256.fullmatch(header.sha256):
            raise BadFieldError.at("header.sha256", "must be 64 characters of lower-case hex")
        # Zero means unset in proto3, and an empty file is what zero announces too: the hash tells which
        # was meant.
        announced = header.size_bytes if header.size_bytes or header.sha256 else -1
        upload = Upload(header.path, header.mode, announced, header.sha256)
        files = await self._files(call, header.session_id, "header.session_id")
        return file_pb2.UploadFileResponse(file=_info(await files.upload(upload, _chunks(requests))))

    async def DownloadFile(
        self, request: file_pb2.DownloadFileRequest, call: CallContext
    ) -> AsyncIterator[file_pb2.DownloadFileResponse]:
        """Read a file or a range of it."""
        for name in ("offset_bytes", "length_bytes"):
            check.check_count(getattr(request, name), name, default=0, limit=2**63 - 1)
        files = await self._files(call, request.session_id, "session_id")
        async with files.download(request.path, request.offset_bytes, request.length_bytes) as (
            entry,
            chunks,
        ):
            yield file_pb2.DownloadFileResponse(file=_info(entry))
            async for chunk in chunks:
                yield file_pb2.DownloadFileResponse(chunk=chunk)

    async def ListFiles(
        self, request: file_pb2.ListFilesRequest, call: CallContext
    ) -> file_pb2.ListFilesResponse:
        """List a page of a directory, by path."""
        size = check.check_page_size(request.page_size, default=check.PAGE_SIZE_LIMIT)
        files = await self._files(call, request.session_id, "session_id")
        scope = ["files", call.tenant, request.session_id, request.path, request.recursive]
        after = self._tokens.read(scope, request.page_token) or ""
        found, more = await files.list(request.path, after, size, recursive=request.recursive)
        token = self._tokens.make(scope, found[-1].path) if more and found else ""
        return file_pb2.ListFilesResponse(files=[_info(entry) for entry in found], next_page_token=token)

    async def StatFile(
        self, request: file_pb2.StatFileRequest, call: CallContext
    ) -> file_pb2.StatFileResponse:
        """Describe one entry."""
        files = await self._files(call, request.session_id, "session_id")
        return file_pb2.StatFileResponse(file=_info(await files.stat(request.path)))

    async def DeleteFile(
        self, request: file_pb2.DeleteFileRequest, call: CallContext
    ) -> file_pb2.DeleteFileResponse:
        """End one entry."""
        files = await self._files(call, request.session_id, "session_id")
        await files.delete(request.path, recursive=request.recursive)
        return file_pb2.DeleteFileResponse()

    async def MakeDirectory(
        self, request: file_pb2.MakeDirectoryRequest, call: CallContext
    ) -> file_pb2.MakeDirectoryResponse:
        """Make a directory."""
        files = await self._files(call, request.session_id, "session_id")
        return file_pb2.MakeDirectoryResponse(file=_info(await files.make_directory(request.path)))

    async def _files(self, call: CallContext, session_id: str, path: str) -> SessionFiles:
        return SessionFiles(await self._sessions.usable(call.tenant, check.check_id(session_id, path)))


async def _chunks(requests: AsyncIterator[file_pb2.UploadFileRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("part") != "chunk":
            raise BadFieldError.at("chunk", "nothing but chunks may follow the header")
        yield request.chunk


def _info(entry: runner_pb2.FileEntry) -> file_pb2.FileInfo:
    return file_pb2.FileInfo(
        path=entry.path,
        is_directory=entry.is_directory,
        size_bytes=entry.size_bytes,
        mode=entry.mode,
        modify_time=entry.modify_time,
        sha256=entry.sha256,
    )
