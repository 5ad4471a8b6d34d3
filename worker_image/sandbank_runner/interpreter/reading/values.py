"""One variable's value in the form that was asked for. Runs user code: to be called under a time limit."""

from __future__ import annotations

from typing import Any

from sandbank_runner.interpreter import formatting
from sandbank_runner.interpreter.json_values import is_json, json_of
from sandbank_runner.interpreter.reading import arrow
from sandbank_runner.interpreter.reading.unavailable import Unavailable
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.text import encoded

seal(globals())

REPR, JSON, MIME, ARROW = "repr", "json", "mime", "arrow"

_LEAST_CHARACTERS = 3
"""What each part of a container has at least: itself, a comma, a space."""
_RICHEST = (
    "text/html",
    "image/svg+xml",
    "image/png",
    "image/jpeg",
    "application/pdf",
    "text/markdown",
    "text/latex",
    "application/javascript",
    "application/json",
    "text/plain",
)
"""In this order; a type of a library's own comes before all of them."""
_CONTAINERS: tuple[Any, ...] = (list, tuple, dict, set, frozenset, str, bytes, bytearray)
_repr = repr


def value_of(value: object, form: str, limit: int) -> tuple[str, bytes]:
    """Return (MIME type, bytes) of ``value``; :class:`Unavailable` where there are none within ``limit`` bytes."""
    if form == JSON:
        mime, data = "application/json", _json(value, limit)
    elif form == ARROW:
        mime, data = arrow.MIME, arrow.bytes_of(value, limit)
    elif form == MIME:
        mime, data = _richest(formatting.bundle(value)[0])
    else:
        mime, data = "text/plain", _text(value, limit)
    if len(data) > limit:
        raise Unavailable("too_large", f"the value has {len(data)} bytes in this format", len(data))
    return mime, data


def _json(value: object, limit: int) -> bytes:
    data = json_of(value, limit)
    if data is not None:
        return data
    if is_json(value):
        raise Unavailable("too_large", "the value's JSON is larger than asked for")
    raise Unavailable(
        "format", "the value is no plain JSON data: it is, or holds, what JSON cannot say exactly"
    )


def _text(value: object, limit: int) -> bytes:
    for base in _CONTAINERS:
        if type(value) is base and _least(base, value) > limit:
            raise Unavailable("too_large", "the value's repr is larger than asked for")
    text = _repr(value)
    return encoded(text)


def _least(base: Any, value: Any) -> int:
    """Return a lower bound of the size of the ``repr`` of a builtin."""
    count = len(value)
    if base is dict:
        return 2 * _LEAST_CHARACTERS * count
    return count if base in (str, bytes, bytearray) else _LEAST_CHARACTERS * count


def _richest(bundle: dict[str, bytes]) -> tuple[str, bytes]:
    for mime, data in bundle.items():
        if mime not in _RICHEST:
            return mime, data
    for mime in _RICHEST:
        if mime in bundle:
            return mime, bundle[mime]
    raise Unavailable("format", "the value has no representation")
