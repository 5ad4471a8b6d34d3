"""Leads what is written to the session's own streams to the operation that writes.

The streams stay the objects that they are, for user code has put them into logging handlers and elsewhere. While
namespace operations run, three methods of theirs are covered by others in the instances; otherwise they cost nothing.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

from sandbank_runner.interpreter.output import Output
from sandbank_runner.interpreter.parallel import current
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_encode = str.encode
_TextIOWrapper = io.TextIOWrapper
_find: Callable[[], Any] = current.namespace_operation


class Streams:
    """``sys.stdout`` and ``sys.stderr`` of one interpreter."""

    __slots__ = ("_covered", "_output")

    def __init__(self, output: Output) -> None:
        self._output = output
        self._covered: list[Any] = []

    def cover(self) -> None:
        """The first of several operations begins: repair the streams, then lead what is written."""
        self._output.restore()
        self._output.flush()
        for number, stream in ((1, self._output.stdout), (2, self._output.stderr)):
            raw: Any = stream.buffer
            stream.write, stream.flush = _text_methods(number, stream)  # type: ignore[method-assign]
            raw.write = _raw_method(number, raw)
            self._covered += [stream, raw]

    def uncover(self) -> None:
        """The last one has ended."""
        covered, self._covered = self._covered, []
        for stream in covered:
            for name in ("write", "flush"):
                with contextlib.suppress(AttributeError):
                    delattr(stream, name)


def _text_methods(number: int, stream: io.TextIOWrapper) -> tuple[Callable[[str], int], Callable[[], None]]:
    plain_write, plain_flush = stream.write, stream.flush

    def write(text: str, /) -> int:
        operation = _find()
        if operation is None or not isinstance(text, str) or stream.closed:
            return plain_write(text)
        operation.output.write(
            number, _encode(text, "utf-8", "backslashreplace"), ends_line="\n" in text or "\r" in text
        )
        return len(text)

    def flush() -> None:
        operation = _find()
        if operation is None:
            plain_flush()
        else:
            operation.output.flush()

    return write, flush


def _raw_method(number: int, raw: Any) -> Callable[[Any], int]:
    plain_write: Callable[[Any], int] = raw.write

    def write(data: Any, /) -> int:
        operation = _find()
        if operation is None or raw.closed:
            return plain_write(data)
        content = bytes(memoryview(data).cast("B"))
        operation.output.write(number, content, ends_line=True)
        return len(content)

    return write
