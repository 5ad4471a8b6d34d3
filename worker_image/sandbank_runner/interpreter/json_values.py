"""``application/json`` of a value, where JSON can say it exactly.

Eligible are None, bool, finite int and float, str, and lists and dicts with str keys of these, by exact type: a
subclass, a tuple or a NumPy number is more than its JSON. Text that UTF-8 cannot carry appears backslash-escaped.
"""

from __future__ import annotations

import sys
from math import isfinite
from typing import Any

from sandbank_runner.interpreter import json_encoder
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.text import sendable

seal(globals())

JSON_BYTES = 1024 * 1024
"""Larger values have no JSON beside their text."""

DEPTH = 200
"""Values nested deeper have none: a cycle never ends, and readers of JSON have limits of their own."""

_encode = json_encoder.make(ascii_only=False)


def json_of(value: object, limit: int = JSON_BYTES) -> bytes | None:
    """Return the JSON text of an eligible value within ``limit``, UTF-8, else None. Never runs user code."""
    try:
        if not is_json(value, limit):
            return None
        text = _encode(value)
        try:
            data = text.encode("utf-8")
        except UnicodeEncodeError:
            data = _encode(_escaped(value)).encode("utf-8")
    except (ValueError, RuntimeError, RecursionError):
        return None  # an int of too many digits; a dict that another thread changed meanwhile
    return data if len(data) <= limit else None


def is_json(value: object, limit: int | None = None) -> bool:
    """Tell whether a value is eligible, and not certainly larger than ``limit``, where there is one."""
    room = sys.maxsize if limit is None else limit
    kind = type(value)
    return _is_eligible(value, room) if kind is list or kind is dict else _is_atom(kind, value, room)


def _is_atom(kind: type, value: Any, room: int) -> bool:
    if kind is str:
        return len(value) <= room
    return kind is int or kind is bool or value is None or (kind is float and isfinite(value))


def _is_eligible(value: object, room: int) -> bool:
    """Tell whether a list or dict is eligible. What it costs is bounded: every part adds bytes to the JSON."""
    level: list[Any] = [value]
    for _ in range(DEPTH):
        deeper: list[Any] = []
        for container in level:
            size = _size(container, deeper, room) if len(container) <= room else None
            if size is None or size > room:
                return False
            room -= size
        if not deeper:
            return True
        level = deeper
    return False


def _size(container: Any, deeper: list[Any], room: int) -> int | None:
    """Return a lower bound of the JSON's size of ``container`` without the containers in it, which go to ``deeper``.

    None where a part or a key is not eligible.
    """
    size = 2 + len(container)
    parts = container
    if type(container) is dict:
        for key in container:
            if type(key) is not str:
                return None
            size += len(key) + 3
        parts = container.values()
    for part in parts:
        kind = type(part)
        if kind is list or kind is dict:
            deeper.append(part)
        elif not _is_atom(kind, part, room):
            return None
        elif kind is str:
            size += len(part)
    return size


def _escaped(value: Any) -> Any:
    """Return a copy whose strings UTF-8 can carry; of an eligible value, so not too deep."""
    if type(value) is str:
        return sendable(value)
    if type(value) is list:
        return [_escaped(part) for part in value]
    if type(value) is dict:
        return {sendable(key): _escaped(part) for key, part in value.items()}
    return value
