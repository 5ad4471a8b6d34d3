"""Tables and arrays as an Arrow IPC stream. Runs code of the value's library: to be called under a time limit.

What an array or a Series was is noted in the schema's metadata, under ``sandbank``, for `transfer.arrow_in`; others
need not know of it: a stream of an array has one column.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from sandbank_runner.interpreter.reading.kinds import derives, genuine
from sandbank_runner.interpreter.reading.unavailable import Unavailable
from sandbank_runner.interpreter.sealed import seal

seal(globals())

MIME: Final = "application/vnd.apache.arrow.stream"
NOTE: Final = b"sandbank"
"""The key of our metadata."""
COLUMN: Final = "values"
BATCH_BYTES: Final = 4 * 1024 * 1024
"""About as large is one batch: what the other side needs in one piece."""
_MESSAGE_CHARACTERS: Final = 200


class Stream(NamedTuple):
    """What to write: a schema and batches of it."""

    schema: Any
    batches: Iterable[Any]


def arrow_of(value: object) -> Stream:
    """Return a table or an array as Arrow has it; :class:`Unavailable` where it is none, or has no such form."""
    try:
        import pyarrow as pa
    except ImportError:
        raise Unavailable("format", "this sandbox has no PyArrow, which Arrow streams need") from None
    try:
        found = _convert(pa, value)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError) as error:
        text = str(error).partition("\n")[0][:_MESSAGE_CHARACTERS]
        raise Unavailable("format", f"Arrow cannot say what the value holds: {text}") from None
    if found is None:
        raise Unavailable("format", "the value is neither a table nor an array")
    return found


def write(stream: Stream, sink: Any) -> None:
    """Write the whole stream to ``sink``, an object with ``write``; what that raises ends it."""
    import pyarrow as pa

    with pa.PythonFile(sink, mode="w") as file:
        options = pa.ipc.IpcWriteOptions(use_threads=False)
        with pa.ipc.new_stream(file, stream.schema, options=options) as writer:
            for batch in stream.batches:
                writer.write_batch(batch)


def bytes_of(value: object, limit: int) -> bytes:
    """Return a whole stream; :class:`Unavailable` where it has over ``limit`` bytes too."""
    sink = _Limited(limit)
    write(arrow_of(value), sink)
    return b"".join(sink.parts)


class _Limited:
    """Keeps what is written, up to a bound."""

    closed = False

    def __init__(self, limit: int) -> None:
        self.parts: list[Any] = []
        self._left = limit

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._left -= len(view)
        if self._left < 0:
            raise Unavailable("too_large", "the value's Arrow stream is larger than asked for")
        self.parts.append(bytes(view))
        return len(view)

    def flush(self) -> None:
        """There is nothing to do."""

    close = flush


def _convert(pa: Any, value: Any) -> Stream | None:
    kind = type(value)
    for module, name, convert in _CONVERSIONS:
        known = genuine(module, name)
        if known is not None and derives(kind, known):
            return convert(pa, value)
    if hasattr(kind, "__arrow_c_stream__"):
        reader = pa.RecordBatchReader.from_stream(value)
        return Stream(reader.schema, reader)
    if hasattr(kind, "__arrow_c_array__"):
        return _column(pa, pa.array(value), {})
    return None


def _table(_pa: Any, table: Any) -> Stream:
    rows = table.num_rows
    row = max(table.nbytes // rows, 1) if rows else 1
    return Stream(table.schema, table.to_batches(max_chunksize=max(BATCH_BYTES // row, 1)))


def _batch(pa: Any, batch: Any) -> Stream:
    return _table(pa, pa.Table.from_batches([batch]))


def _column(pa: Any, column: Any, note: dict[str, Any]) -> Stream:
    schema = pa.schema([pa.field(COLUMN, column.type)], {NOTE: json.dumps(note).encode()} if note else None)
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return _table(pa, pa.Table.from_arrays([pa.chunked_array(chunks, column.type)], schema=schema))


def _plain_column(pa: Any, column: Any) -> Stream:
    return _column(pa, column, {})


def _frame(pa: Any, frame: Any) -> Stream:
    return _table(pa, pa.Table.from_pandas(frame, nthreads=1))


def _series(pa: Any, series: Any) -> Stream:
    named = series.name is not None
    frame = series.to_frame() if named else series.to_frame(COLUMN)
    table = pa.Table.from_pandas(frame, nthreads=1)
    note = json.dumps({"is": "series", "named": named}).encode()
    return _table(pa, table.replace_schema_metadata({**(table.schema.metadata or {}), NOTE: note}))


def _index(pa: Any, index: Any) -> Stream:
    return _column(pa, pa.array(index), {})


def _array(pa: Any, array: Any) -> Stream:
    import numpy as np

    if array.ndim == 0:
        raise ValueError("an array without dimensions")
    if isinstance(array, np.ma.MaskedArray):
        if array.ndim > 1:
            raise ValueError("a masked array of several dimensions")
        return _column(pa, pa.array(array), {"is": "array"})
    array = np.asarray(array)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.ndim == 1:
        return _column(pa, pa.array(array), {"is": "array"})
    flat = pa.array(np.ascontiguousarray(array).reshape(-1))
    shape = array.shape[1:]
    width = int(np.prod(shape, dtype=np.int64))
    if width == 0 or width >= 1 << 31:
        raise ValueError("an array with a dimension of no length, or rows of over 2**31 parts")
    storage = pa.FixedSizeListArray.from_arrays(flat, width)
    tensor = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(flat.type, shape), storage)
    return _column(pa, tensor, {"is": "array"})


_CONVERSIONS: Final[tuple[tuple[str, str, Callable[[Any, Any], Stream]], ...]] = (
    ("pandas", "DataFrame", _frame),
    ("pandas", "Series", _series),
    ("pandas", "Index", _index),
    ("pyarrow", "Table", _table),
    ("pyarrow", "RecordBatch", _batch),
    ("pyarrow", "Array", _plain_column),
    ("pyarrow", "ChunkedArray", _plain_column),
    ("numpy", "ndarray", _array),
)
