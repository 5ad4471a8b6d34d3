"""A table or an array from an Arrow IPC stream, checked: whoever sent it may have made anything up."""

from __future__ import annotations

import json
from typing import Any, Final

from sandbank_runner.interpreter.checkpoints.frames import Broken
from sandbank_runner.interpreter.reading.arrow import NOTE
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.transfer.refusing import BAD_FIELD, FORMAT_UNAVAILABLE, Refused
from sandbank_runner.interpreter.transfer.source import Source

seal(globals())

_END: Final = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""What every stream ends with that was closed."""
_MESSAGE_CHARACTERS: Final = 200
_INTEGERS: Final = "iu"


def value_of_arrow(source: Source, arrow_as: str) -> Any:
    """Return the table, as ``arrow_as`` says: ``table``, ``pandas`` or ``numpy``. :class:`Refused` where it is none."""
    try:
        import pyarrow as pa
    except ImportError:
        raise Refused(FORMAT_UNAVAILABLE, "this sandbox has no PyArrow, which Arrow streams need") from None
    if arrow_as == "pandas":
        try:
            import pandas  # noqa: F401 - is it there at all
        except ImportError:
            raise Refused(FORMAT_UNAVAILABLE, "this sandbox has no pandas") from None
    try:
        table = _read(pa, source)
        if arrow_as == "pandas":
            return _frame(table)
        return _array(pa, table) if arrow_as == "numpy" else table
    except (Broken, Refused, MemoryError):
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        text = str(error).partition("\n")[0][:_MESSAGE_CHARACTERS]
        raise Refused(BAD_FIELD, f"no Arrow stream that can be taken in: {text}") from None


def _read(pa: Any, source: Source) -> Any:
    options = pa.ipc.IpcReadOptions(use_threads=False)
    batches = []
    with pa.ipc.open_stream(pa.PythonFile(source, mode="r"), options=options) as reader:
        for batch in reader:
            batch.validate(full=True)
            batches.append(batch)
        schema = reader.schema
    if source.tail != _END:
        raise Refused(BAD_FIELD, "the Arrow stream has no end: it was cut off, or its writer was not closed")
    if source.read(1):
        raise Refused(BAD_FIELD, "something follows the end of the Arrow stream")
    return pa.Table.from_batches(batches, schema)


def _note(table: Any) -> dict[str, Any]:
    """Return what :mod:`reading.arrow` noted."""
    try:
        found = json.loads((table.schema.metadata or {}).get(NOTE, b"{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _frame(table: Any) -> Any:
    note = _note(table)
    frame = table.to_pandas(use_threads=False)
    if note.get("is") != "series" or frame.shape[1] != 1:
        return frame
    series = frame.iloc[:, 0]
    if not note.get("named", True):
        series.name = None
    return series


def _array(pa: Any, table: Any) -> Any:
    import numpy as np

    if table.num_columns != 1:
        raise Refused(BAD_FIELD, f"a NumPy array comes of one column, not of {table.num_columns}")
    column = table.column(0)
    shape: tuple[int, ...] = ()
    tensor = getattr(pa, "FixedShapeTensorType", None)
    if tensor is not None and isinstance(column.type, tensor):
        shape, permutation = tuple(column.type.shape), column.type.permutation
        if permutation is not None and list(permutation) != list(range(len(shape))):
            raise Refused(BAD_FIELD, "tensors with permuted dimensions are not taken in")
        if column.null_count:
            raise Refused(BAD_FIELD, "the column of tensors has nulls")
        parts = [chunk.storage.flatten() for chunk in column.chunks]
        column = pa.chunked_array(parts, column.type.value_type)
    if column.null_count and (pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)):
        raise Refused(BAD_FIELD, f"the column has nulls, which a NumPy array of {column.type} cannot hold")
    array = column.to_numpy()
    if not array.flags.writeable:
        array = array.copy()
    return array.reshape(-1, *shape) if shape else np.asarray(array)
