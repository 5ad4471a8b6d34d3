"""``sys.stdin``: in an operation that may ask, every line is a question; otherwise it is descriptor 0, at its end."""

from __future__ import annotations

import io
from typing import Any, Protocol

from sandbank_runner.interpreter.input.questions import Asker, Questions
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_TextIOWrapper, _BufferedReader, _FileIO = io.TextIOWrapper, io.BufferedReader, io.FileIO


class _Source(Protocol):
    def asker(self) -> Asker | None: ...

    def ask(self, asker: Asker, prompt: str) -> str | None: ...


class Stdin(io.TextIOWrapper):
    """A text stream for each operation in turn: what one has not read is not the next one's."""

    mode = "r"

    def __init__(self, questions: Questions) -> None:
        raw = _FileIO(0, closefd=False)
        raw.name = "<stdin>"
        buffered = _BufferedReader(raw)
        _TextIOWrapper.__init__(self, buffered, encoding="utf-8", errors="surrogateescape")
        self._source: _Source = questions
        self._bytes = _Bytes(questions, buffered)

    @property
    def buffer(self) -> Any:
        """The same as bytes."""
        return self._bytes

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        """Return the rest of a line with its end; empty at the end of file."""
        asker = None if self.closed else self._source.asker()
        if asker is None:
            return _TextIOWrapper.readline(self, _number(size))
        fill(self._source, asker)
        return asker.typed.take_text_line(_number(size))

    def read(self, size: int | None = -1, /) -> str:
        """Return ``size`` characters, fewer at the end of file; all up to that where it is negative."""
        asker = None if self.closed else self._source.asker()
        if asker is None:
            return _TextIOWrapper.read(self, _number(size))
        wanted = _number(size)
        parts: list[str] = []
        while wanted and fill(self._source, asker):
            parts.append(asker.typed.take_text(wanted))
            if wanted > 0:
                wanted -= len(parts[-1])
        return "".join(parts)

    def __next__(self) -> str:  # type: ignore[override]
        line = self.readline()
        if not line:
            raise StopIteration
        return line


class _Bytes(io.BufferedIOBase):
    """``sys.stdin.buffer``."""

    mode = "rb"
    name = "<stdin>"

    def __init__(self, source: _Source, idle: Any) -> None:
        self._source = source
        self._idle = idle

    @property
    def raw(self) -> Any:
        """What is read while no operation may ask."""
        return self._idle.raw

    def fileno(self) -> int:
        return int(self._idle.fileno())

    def readable(self) -> bool:
        return True

    @property
    def closed(self) -> bool:
        return bool(self._idle.closed)

    def close(self) -> None:
        self._idle.close()

    def read(self, size: int | None = -1, /) -> bytes:
        asker = self._asker()
        if asker is None:
            return bytes(self._idle.read(_number(size)))
        wanted = _number(size)
        parts: list[bytes] = []
        while wanted and fill(self._source, asker):
            parts.append(asker.typed.take(wanted))
            if wanted > 0:
                wanted -= len(parts[-1])
        return b"".join(parts)

    def read1(self, size: int = -1, /) -> bytes:
        asker = self._asker()
        if asker is None:
            return bytes(self._idle.read1(size))
        fill(self._source, asker)
        return asker.typed.take(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        asker = self._asker()
        if asker is None:
            return bytes(self._idle.readline(_number(size)))
        fill(self._source, asker)
        return asker.typed.take_line(_number(size))

    def peek(self, size: int = 0, /) -> bytes:
        asker = self._asker()
        if asker is None:
            return bytes(self._idle.peek(size))
        fill(self._source, asker)
        return asker.typed.peek()

    def _asker(self) -> Asker | None:
        return None if self.closed else self._source.asker()


def fill(source: _Source, asker: Asker) -> bool:
    """Have something to read: a line, asked for where none is left. False at the end of file."""
    if not asker.typed:
        text = source.ask(asker, "")
        if text is None:
            return False
        asker.typed.put(text.encode("utf-8", "surrogateescape") + b"\n")
    return True


def _number(size: int | None) -> int:
    return -1 if size is None else size.__index__()
