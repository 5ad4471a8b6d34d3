"""Files on their way: what an upload sends and how a download is checked, whoever moves the messages."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Self, TypeAlias

from sandbank.errors import BadAnswer
from sandbank.v1 import file_pb2

# Large enough that messages cost little, small enough that memory and fairness do not suffer.
CHUNK_BYTES = 256 * 1024

Source: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO


class Upload:
    """A file to send: read once for its size and hash, and again for each try.

    `source` is a path, the bytes themselves, or a binary file object, which is read from where it stands (one
    that cannot seek is read into memory).
    """

    def __init__(self, session_id: str, source: Source, path: str | None, mode: int | None) -> None:
        name = path or (os.path.basename(os.fspath(source)) if isinstance(source, str | os.PathLike) else "")
        if not name:
            raise ValueError("uploading bytes or a file object needs a path to upload to")
        self._file, self._owned = open_source(source)
        try:
            self._start = self._file.tell()
            if mode is None:
                mode = os.stat(source).st_mode & 0o777 if isinstance(source, str | os.PathLike) else 0
            digest, size = hashlib.sha256(), 0
            while chunk := self._file.read(CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
        except BaseException:
            self.close()
            raise
        self.sha256 = digest.hexdigest()
        self.size_bytes = size
        self.header = file_pb2.UploadHeader(
            session_id=session_id, path=name, mode=mode, size_bytes=size, sha256=self.sha256
        )

    def messages(self) -> Iterator[file_pb2.UploadFileRequest]:
        """Return the messages of one try: the header, then the content."""
        self._file.seek(self._start)
        yield file_pb2.UploadFileRequest(header=self.header)
        while chunk := self._file.read(CHUNK_BYTES):
            yield file_pb2.UploadFileRequest(chunk=chunk)

    def check(self, file: file_pb2.FileInfo) -> file_pb2.FileInfo:
        """Return the server's answer, if it is about this content."""
        if file.size_bytes != self.size_bytes or file.sha256 not in {"", self.sha256}:
            raise BadAnswer(f"{file.path} was written with another size or hash than was sent")
        return file

    def close(self) -> None:
        """Close what was opened here."""
        if self._owned:
            self._file.close()


class Download:
    """A file being received: takes the messages in order, and checks that all of it came.

    Use it as a context manager. It goes into memory; with `to` the content is written beside that path and
    moved there once it is whole.
    """

    def __init__(
        self, session_id: str, path: str, to: str | os.PathLike[str] | None, offset: int, length: int
    ) -> None:
        self.request = file_pb2.DownloadFileRequest(
            session_id=session_id, path=path, offset_bytes=offset, length_bytes=length
        )
        self._to = None if to is None else Path(to)
        self._partial = None if self._to is None else self._to.with_name(f".{self._to.name}.partial")
        self._sink: BinaryIO = io.BytesIO() if self._partial is None else self._partial.open("wb")
        self._digest = hashlib.sha256()
        self._file: file_pb2.FileInfo | None = None
        self._received = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._sink.close()
        if self._partial is not None:
            self._partial.unlink(missing_ok=True)  # after `finish` it is in its place already

    def feed(self, message: file_pb2.DownloadFileResponse) -> None:
        """Take the next message and write what is in it."""
        part = message.WhichOneof("part")
        if part == "file" and self._file is None:
            self._file = message.file
        elif part == "chunk" and self._file is not None:
            self._digest.update(message.chunk)
            self._received += len(message.chunk)
            self._sink.write(message.chunk)
        else:
            raise BadAnswer("a download must be one description, then the content")

    def finish(self) -> bytes:
        """Put the file in its place, or return the content; BadAnswer where it is not as described."""
        file = self._file
        if file is None:
            raise BadAnswer("a download ended before it began")
        rest = max(0, file.size_bytes - self.request.offset_bytes)
        expected = min(rest, self.request.length_bytes) if self.request.length_bytes else rest
        if self._received != expected:
            raise BadAnswer(f"{file.path}: {self._received} bytes came instead of {expected}")
        if expected == file.size_bytes and file.sha256 not in {"", self._digest.hexdigest()}:
            raise BadAnswer(f"{file.path}: the content does not have the hash that the server gave")
        if isinstance(self._sink, io.BytesIO):
            return self._sink.getvalue()
        self._sink.close()
        if self._partial is not None and self._to is not None:
            os.replace(self._partial, self._to)
        return b""


def open_source(source: Source) -> tuple[BinaryIO, bool]:
    """Return a file to read from, and whether it was opened here. What cannot seek is read into memory."""
    if isinstance(source, str | os.PathLike):
        return open(source, "rb"), True
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source), True
    if source.seekable():
        return source, False
    return io.BytesIO(source.read()), True
