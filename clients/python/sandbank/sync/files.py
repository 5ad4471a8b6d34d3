"""The files of a session's workspace. Paths are relative to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing

from sandbank import calls, rpc
from sandbank.sync.transport import Transport
from sandbank.transfers import Download, Source, Upload
from sandbank.v1 import file_pb2


class Files:
    """Up- and downloads with their hashes checked, and the directory."""

    def __init__(self, transport: Transport, session_id: str) -> None:
        self._transport = transport
        self._session_id = session_id

    def upload(
        self, source: Source, path: str | None = None, *, mode: int | None = None
    ) -> file_pb2.FileInfo:
        """Write a file: from a path, from bytes, or from a binary file object, whole or not at all.

        `path` may be left out where the source is a path, whose last part then names it.
        """
        with closing(Upload(self._session_id, source, path, mode)) as upload:
            return upload.check(self._transport.upload(rpc.UPLOAD_FILE, upload.messages).file)

    def download(
        self,
        path: str,
        to: str | os.PathLike[str] | None = None,
        *,
        offset: int = 0,
        length: int = 0,
    ) -> bytes:
        """Read a file, or `length` bytes of it from `offset` on (0: to the end).

        Returns the content; with `to` it is written there instead, and appears there only when it is whole.
        """
        with Download(self._session_id, path, to, offset, length) as download:
            for message in self._transport.stream(rpc.DOWNLOAD_FILE, download.request):
                download.feed(message)
            return download.finish()

    def list(
        self, path: str = "", *, recursive: bool = False, page_size: int = 0
    ) -> Iterator[file_pb2.FileInfo]:
        """Iterate over the files and directories in a directory, fetched page by page."""
        return self._transport.pages(calls.list_files(self._session_id, path, recursive, page_size))

    def stat(self, path: str) -> file_pb2.FileInfo:
        """Describe a file or directory, with its hash."""
        return self._transport.call(calls.stat_file(self._session_id, path))

    def delete(self, path: str, *, recursive: bool = False) -> None:
        """Delete a file or a directory; one that is not empty only with `recursive`."""
        self._transport.call(calls.delete_file(self._session_id, path, recursive))

    def mkdir(self, path: str) -> file_pb2.FileInfo:
        """Make a directory with its parents; one that exists is no error."""
        return self._transport.call(calls.make_directory(self._session_id, path))
