"""Values of variables on their way, of any size: what an import sends, and where an export goes."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeAlias

from sandbank import requests
from sandbank.encoded import Encoded, arrow_as_number
from sandbank.errors import BadAnswer
from sandbank.transfers import CHUNK_BYTES, Source, open_source
from sandbank.v1 import state_pb2
from sandbank.values import Value

SET_BYTES = 1024 * 1024
"""Larger values go in pieces."""

Target: TypeAlias = str | os.PathLike[str] | BinaryIO


class Import:
    """A value to send, in pieces. Read again for each try, from where a file object stood."""

    def __init__(
        self,
        session_id: str,
        transaction_id: str,
        name: str,
        source: Source,
        value_format: str | int,
        arrow_as: str | int,
    ) -> None:
        fields: dict[str, Any] = {
            "session_id": session_id,
            "transaction_id": transaction_id,
            "name": name,
            "format": requests.enum_number(state_pb2.ValueFormat, "VALUE_FORMAT_", value_format),
            "arrow_as": arrow_as_number(arrow_as),
        }
        self._header = requests.build(state_pb2.ImportVariableHeader, fields)
        self._file, self._owned = open_source(source)
        self._start = self._file.tell()

    @classmethod
    def of(cls, session_id: str, transaction_id: str, name: str, value: Encoded) -> Self:
        """Return the import of a value that is at hand."""
        return cls(session_id, transaction_id, name, value.data, value.format, value.arrow_as)

    def messages(self) -> Iterator[state_pb2.ImportVariableRequest]:
        """Return the messages of one try."""
        self._file.seek(self._start)
        yield state_pb2.ImportVariableRequest(header=self._header)
        while chunk := self._file.read(CHUNK_BYTES):
            yield state_pb2.ImportVariableRequest(chunk=chunk)

    def close(self) -> None:
        """Close what was opened here."""
        if self._owned:
            self._file.close()


class Export:
    """A value being received: into memory, into a binary file object, or beside a path and there once it is whole."""

    def __init__(
        self,
        session_id: str,
        transaction_id: str,
        name: str,
        to: Target | None,
        value_format: str | int,
        max_bytes: int,
    ) -> None:
        number: Any = requests.enum_number(state_pb2.ValueFormat, "VALUE_FORMAT_", value_format)
        self.request = state_pb2.ExportVariableRequest(
            session_id=session_id,
            transaction_id=transaction_id,
            name=name,
            format=number,
            max_bytes=max_bytes,
        )
        self._to = Path(to) if isinstance(to, str | os.PathLike) else None
        self._partial = None if self._to is None else self._to.with_name(f".{self._to.name}.partial")
        self._memory = io.BytesIO()
        self._sink: BinaryIO = self._memory
        if self._partial is not None:
            self._sink = self._partial.open("wb")
        elif to is not None and not isinstance(to, str | os.PathLike):
            self._sink = to
        self._header: state_pb2.ExportVariableHeader | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._partial is not None:
            self._sink.close()
            self._partial.unlink(missing_ok=True)  # after `finish` it is in its place already

    def feed(self, message: state_pb2.ExportVariableResponse) -> None:
        """Take the next message and write what is in it."""
        part = message.WhichOneof("part")
        if part == "header" and self._header is None:
            self._header = message.header
        elif part == "chunk" and self._header is not None:
            self._sink.write(message.chunk)
        else:
            raise BadAnswer("an export must be one description, then the value")

    def finish(self) -> Value:
        """Put the file in its place; return what came, with the bytes where they were to stay in memory."""
        header = self._header
        if header is None:
            raise BadAnswer("an export ended before it began")
        if self._partial is not None and self._to is not None:
            self._sink.close()
            os.replace(self._partial, self._to)
        return Value(header.variable, self._memory.getvalue(), header.mime_type, header.as_of)
