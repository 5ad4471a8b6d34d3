"""The beginning of a value's ``repr`` at a bounded price.

Builtin containers are written here, part by part, until there is enough: a list of ten million is never written out.
Any other ``__repr__`` is taken for user code, and called by whoever has a time limit for it.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from sandbank_runner.interpreter.reading.kinds import contents_of, identity, mro_of
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.text import sendable

seal(globals())


_INT_BITS = 14_000
"""An int of more bits Python itself does not turn into text unless told to; it would take quadratic time."""
_DEPTH = 40
"""Containers within containers; what is deeper shows as dots."""

_repr = repr
_slice = str.__getitem__
_COLLECTIONS = (list, tuple, dict, set, frozenset)
# fmt: off
_safe = (
    int, float, complex, bool, range, type, type(None), type(...), type(NotImplemented), types.FunctionType,
    types.BuiltinFunctionType, types.CodeType, types.GeneratorType, types.CoroutineType, object,
)
# fmt: on
_SAFE = frozenset(map(identity, _safe))
"""Types whose ``repr`` is short and asks nobody; by identity, for a type may have a hash of the user's."""
_TEXTS = frozenset(map(identity, (str, bytes, bytearray)))


class UserCode(Exception):
    """A part of the value has a ``__repr__`` of its own."""


def cut(text: str, characters: int) -> str:
    """Return ``text`` as a plain string that UTF-8 can carry; the last of its ``characters`` may be an ellipsis."""
    if str.__len__(text) > characters:
        text = _slice(text, slice(characters - 1)) + "…"
    text = sendable(text)
    return text if len(text) <= characters else text[: characters - 1] + "…"


def preview(value: object, characters: int, ask: Callable[[Any], str] | None) -> str:
    """Return the preview of ``value``, cut to ``characters``. ``ask`` gives the ``repr`` of what has one of its own.

    Without it :class:`UserCode` is raised for such a value, and nothing of the user's is called.
    """
    pieces: list[str] = []
    size = 0
    for piece in _Writer(characters, ask).write(value, 0):
        pieces.append(piece)
        size += len(piece)
        if size > characters:
            break
    return cut("".join(pieces), characters)


class _Writer:
    """Writes one value down, as ``repr`` would."""

    __slots__ = ("_ask", "_characters", "_inside")

    def __init__(self, characters: int, ask: Callable[[Any], str] | None) -> None:
        self._characters = characters
        self._ask = ask
        self._inside: set[int] = set()

    def write(self, value: Any, depth: int) -> Iterator[str]:
        kind = type(value)
        if identity(kind) in _TEXTS:
            yield _repr(value if len(value) <= self._characters else value[: self._characters + 1])
        elif kind is int and value.bit_length() > _INT_BITS:
            yield f"<int of {value.bit_length()} bits>"
        elif identity(kind) in _SAFE:
            yield _repr(value)
        elif (base := _whose_repr(kind)) is object:
            yield object.__repr__(value)
        elif any(base is collection for collection in _COLLECTIONS):
            yield from self._container(base, value, depth)
        elif self._ask is None:
            raise UserCode
        else:
            yield cut(self._ask(value), self._characters + 1)

    def _container(self, base: Any, value: Any, depth: int) -> Iterator[str]:
        begin, end, empty = _brackets(base, type(value))
        size = base.__len__(value)
        if size == 0:
            yield empty
            return
        if identity(value) in self._inside or depth >= _DEPTH:
            yield f"{begin}...{end}"
            return
        self._inside.add(identity(value))
        yield begin
        first = True
        for part in islice(dict.items(value) if base is dict else base.__iter__(value), self._characters):
            if not first:
                yield ", "
            first = False
            if base is dict:
                yield from self.write(part[0], depth + 1)
                yield ": "
                yield from self.write(part[1], depth + 1)
            else:
                yield from self.write(part, depth + 1)
        if base is tuple and size == 1:
            yield ","
        yield end
        self._inside.discard(identity(value))


def _whose_repr(kind: type) -> Any:
    """Return the class whose ``__repr__`` the instances of ``kind`` have."""
    for ancestor in mro_of(kind):
        if "__repr__" in contents_of(ancestor):
            return ancestor
    return None


def _brackets(base: Any, kind: type) -> tuple[str, str, str]:
    """Return what stands before and after the parts, and what stands for none."""
    if base is list:
        return "[", "]", "[]"
    if base is tuple:
        return "(", ")", "()"
    if base is dict:
        return "{", "}", "{}"
    if kind is set:
        return "{", "}", "set()"
    name = _name_of(kind)
    return f"{name}({{", "})", f"{name}()"


_name_of: Any = type.__dict__["__name__"].__get__
