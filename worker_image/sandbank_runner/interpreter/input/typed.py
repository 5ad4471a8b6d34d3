"""What was given as an answer and not read yet: a reader may take less than a line."""

from __future__ import annotations

from sandbank_runner.interpreter.sealed import seal

seal(globals())

_LONGEST = 4
"""Bytes of a character of UTF-8."""


class Typed:
    """Bytes that wait to be read, as bytes or as text. Cheap however small the pieces are that are taken."""

    __slots__ = ("_at", "_data")

    def __init__(self) -> None:
        self._data = b""
        self._at = 0

    def __len__(self) -> int:
        return len(self._data) - self._at

    def put(self, data: bytes) -> None:
        """Add what was given."""
        self._data = self._data[self._at :] + data
        self._at = 0

    def peek(self) -> bytes:
        """Return what waits, and leave it."""
        return self._data[self._at :]

    def take(self, size: int = -1) -> bytes:
        """Take up to ``size`` bytes; all where that is negative."""
        end = len(self._data) if size < 0 else min(self._at + size, len(self._data))
        return self._take_to(end)

    def take_line(self, size: int = -1) -> bytes:
        """Take up to the end of a line, and no more than ``size`` bytes."""
        end = self._data.find(b"\n", self._at) + 1 or len(self._data)
        if size >= 0:
            end = min(end, self._at + size)
        return self._take_to(end)

    def take_text(self, size: int = -1) -> str:
        """Take up to ``size`` characters."""
        if size < 0:
            return _decoded(self.take())
        # So many bytes hold at least as many whole characters; a cut one comes after them.
        text = _decoded(self._data[self._at : self._at + _LONGEST * size])[:size]
        self._at += len(text.encode("utf-8", "surrogateescape"))
        return text

    def take_text_line(self, size: int = -1) -> str:
        """Take up to the end of a line, and no more than ``size`` characters."""
        if size < 0:
            return _decoded(self.take_line())
        line = _decoded(self.take_line(_LONGEST * size))
        rest = line[size:].encode("utf-8", "surrogateescape")
        self._at -= len(rest)
        return line[:size]

    def _take_to(self, end: int) -> bytes:
        data = self._data[self._at : end]
        self._at = end
        return data


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
