"""The copy's part of an export: it sends one variable's value over a connection, in pieces, and exits.

Unlike a reader it has as long as it takes to send: the supervisor ends it where the other side is gone, or its time is
over.
"""

from __future__ import annotations

import os
from typing import Any, Final, NoReturn

from sandbank_runner.interpreter.checkpoints.frames import CHUNK_BYTES, Broken, Connection
from sandbank_runner.interpreter.checkpoints.unsavable import brief
from sandbank_runner.interpreter.reading import arrow
from sandbank_runner.interpreter.reading.patience import Patience, TookTooLong
from sandbank_runner.interpreter.reading.reader import Reader, is_shown
from sandbank_runner.interpreter.reading.unavailable import Unavailable
from sandbank_runner.interpreter.reading.values import ARROW, value_of
from sandbank_runner.interpreter.sealed import seal

seal(globals())

MEMORY_BYTES: Final = 2 * 1024 * 1024 * 1024
"""What it may take beyond what the interpreter has: a table's columns may have to be converted."""
CONVERSION_SECONDS: Final = 60.0
"""How long a value may take to be written down, or converted, before the first of it is sent."""

_NO_BOUND: Final = 1 << 62
_MESSAGE_CHARACTERS: Final = 300
_exit = os._exit


def answer(descriptor: int, header: dict[str, Any], names: dict[str, Any], patience: Patience) -> NoReturn:
    """Answer one ``export`` and end the process: with 0 where the other side has heard all there was to say."""
    code = 1
    try:
        connection = Connection(descriptor)
        try:
            _export(connection, header, names, patience)
        except Unavailable as problem:
            connection.say("refused", reason=problem.reason, message=str(problem)[:_MESSAGE_CHARACTERS])
        code = 0
    finally:
        _exit(code)


def _export(
    connection: Connection, header: dict[str, Any], names: dict[str, Any], patience: Patience
) -> None:
    name, limit = header["name"], header["max_bytes"] or _NO_BOUND
    if not is_shown(name) or name not in names:
        raise Unavailable("missing", "the name is not bound")
    description = _Description(name)
    Reader(description, names, patience, {**header, "skip": [], "bare": False}).describe_all(  # type: ignore[arg-type]
        {"prefix": name, "after": "", "limit": 1, "private": True}
    )
    try:
        mime, content = patience.call(
            _content, names[name], header["format"], limit, seconds=CONVERSION_SECONDS
        )
        connection.say("header", **description.item, mime_type=mime)
        pieces = _Pieces(connection, limit)
        if isinstance(content, arrow.Stream):
            arrow.write(content, pieces)
        else:
            pieces.write(content)
        pieces.finish()
    except (Unavailable, Broken):
        raise
    except TookTooLong:
        raise Unavailable("failed", "it took too long to write the value down") from None
    except MemoryError:
        raise Unavailable("too_large", "the value took too much memory to write down") from None
    except BaseException as error:
        raise Unavailable("failed", f"writing the value down failed: {brief(error)}") from None
    connection.say("end")


def _content(value: object, form: str, limit: int) -> tuple[str, arrow.Stream | bytes]:
    return (arrow.MIME, arrow.arrow_of(value)) if form == ARROW else value_of(value, form, limit)


class _Description:
    """Hears what a reader says of one variable."""

    def __init__(self, name: str) -> None:
        self.item: dict[str, Any] = {"name": name}

    def send(self, header: dict[str, Any], _blobs: tuple[bytes, ...] = ()) -> None:
        """Take what is complete."""
        for item in header.get("items", ()):
            if item["name"] == self.item["name"]:
                self.item = item


class _Pieces:
    """A file that is a connection: what is written goes out in pieces of the same size."""

    closed = False

    def __init__(self, connection: Connection, limit: int) -> None:
        self._connection = connection
        self._left = limit
        self._parts: list[memoryview] = []
        self._size = 0

    def write(self, data: Any) -> int:
        """Send ``data``, or keep it for the next piece; :class:`Unavailable` beyond the bound."""
        view = memoryview(data).cast("B")
        length = len(view)
        self._left -= length
        if self._left < 0:
            raise Unavailable("too_large", "the value is larger than asked for")
        while view:
            part = view[: CHUNK_BYTES - self._size]
            view = view[len(part) :]
            self._parts.append(part)
            self._size += len(part)
            if self._size == CHUNK_BYTES:
                self.finish()
        return length

    def finish(self) -> None:
        """Send what was kept."""
        parts, self._parts, self._size = self._parts, [], 0
        if parts:
            self._connection.give(parts)

    def flush(self) -> None:
        """As files have it: pieces go when they are full."""

    close = flush
