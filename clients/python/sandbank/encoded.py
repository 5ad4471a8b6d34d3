"""A Python value as it is sent: as JSON where that says it exactly, tables and arrays as an Arrow stream."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from sandbank import requests
from sandbank.v1 import state_pb2

_DEPTH = 200
_COLUMN = "values"
"""The name of an array's one column."""


@dataclass(frozen=True)
class Encoded:
    """A value's bytes; `format` is json or arrow, `arrow_as` a number of ArrowAs."""

    format: str
    data: bytes
    arrow_as: int = 0


def arrow_as_number(arrow_as: str | int) -> int:
    """Return a number of ArrowAs; the default for an empty name."""
    return 0 if arrow_as == "" else requests.enum_number(state_pb2.ArrowAs, "ARROW_AS_", arrow_as)


def encoded(value: Any, arrow_as: str | int = "") -> Encoded:
    """Return a value as it is sent. TypeError or ValueError for one that neither JSON nor Arrow says exactly."""
    wanted = arrow_as_number(arrow_as)
    if isinstance(value, bytes | bytearray | memoryview):
        return Encoded("arrow", bytes(value), wanted)
    kind = _kind_of(value)
    if kind:
        return Encoded("arrow", _stream(value, kind), wanted or arrow_as_number(kind))
    _check_plain(value, _DEPTH)
    if wanted:
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


def _kind_of(value: Any) -> str:
    """Return what a table or an array is to be in the session; empty for what is neither."""
    for kind in type(value).__mro__:
        library, name = kind.__module__.partition(".")[0], kind.__name__
        if library == "pandas" and name in ("DataFrame", "Series"):
            return "pandas"
        if library == "numpy" and name == "ndarray":
            return "numpy"
    return "table" if hasattr(type(value), "__arrow_c_stream__") else ""


def _stream(value: Any, kind: str) -> bytes:
    try:
        import pyarrow as pa  # noqa: PLC0415 - optional, and slow to import
    except ImportError as error:
        raise ImportError(
            "tables and arrays are sent by pyarrow, which is not installed; bytes of an Arrow stream need none"
        ) from error
    if kind == "numpy":
        table = _array(pa, value)
    elif kind == "pandas":
        table = _frame(pa, value)
    else:
        table = pa.table(value)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=65_536)
    return bytes(sink.getvalue())


def _frame(pa: Any, value: Any) -> Any:
    if not hasattr(value, "to_frame"):
        return pa.Table.from_pandas(value)
    named = value.name is not None
    table = pa.Table.from_pandas(value.to_frame() if named else value.to_frame(_COLUMN))
    note = json.dumps(
        {"is": "series", "named": named}
    ).encode()  # so that it is a Series again in the session
    return table.replace_schema_metadata({**(table.schema.metadata or {}), b"sandbank": note})


def _array(pa: Any, value: Any) -> Any:
    if value.ndim == 0:
        raise ValueError("an array without dimensions cannot be sent: send a number")
    if not value.dtype.isnative:
        value = value.astype(value.dtype.newbyteorder("="))
    flat = pa.array(value.reshape(-1))
    if value.ndim > 1:
        shape = value.shape[1:]
        if 0 in shape:
            raise ValueError("an array with a dimension of no length cannot be sent")
        storage = pa.FixedSizeListArray.from_arrays(flat, math.prod(shape))
        flat = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(flat.type, shape), storage)
    return pa.Table.from_arrays([flat], names=[_COLUMN])
