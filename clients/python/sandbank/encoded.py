"""A Python value as it is sent: as JSON where that says it exactly, tables and arrays as an Arrow stream."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from sandbank import requests
from sandbank.v1 import state_pb2

_DEPTH = 200


@dataclass(frozen=True)
class Encoded:
    """A value's bytes; `arrow_as` is a number of ArrowAs."""

    format: str
    data: bytes
    arrow_as: int = 0


def encoded(value: Any, arrow_as: str | int = "") -> Encoded:
    """Return a value as it is sent. TypeError for one that neither JSON nor Arrow can say."""
    number = requests.enum_number(state_pb2.ArrowAs, "ARROW_AS_", arrow_as) if arrow_as != "" else 0
    if isinstance(value, bytes | bytearray | memoryview):
        return Encoded("arrow", bytes(value), number)
    _check_plain(value, _DEPTH)
    if number:
        raise ValueError("arrow_as is for tables, arrays and Arrow streams")
    return Encoded("json", json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def _check_plain(value: Any, depth: int) -> None:
    kind = type(value)
    if depth == 0:
        raise ValueError("the value is nested too deeply, or holds itself")
    if kind is list:
        for part in value:
            _check_plain(part, depth - 1)
    elif kind is dict:
        for key, part in value.items():
            if type(key) is not str:
                raise TypeError(f"JSON has only text for keys, not {type(key).__name__}")
            _check_plain(part, depth - 1)
    elif kind is float:
        if not math.isfinite(value):
            raise ValueError(f"JSON has no {value}")
    elif value is not None and kind not in (str, int, bool):
        raise TypeError(f"{kind.__name__} is more than JSON can say: send plain data, a table or an array")
