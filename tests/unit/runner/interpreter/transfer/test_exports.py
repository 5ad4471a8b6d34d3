"""Values that a copy of the interpreter sends over a connection."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.unit.runner.interpreter.harness import Interpreter
from tests.unit.runner.interpreter.snapshots.harness import Timeline
from tests.unit.runner.interpreter.transfer.harness import arrow, bind, export


def table_of(data: bytes) -> pa.Table:
    """Read a stream."""
    with pa.ipc.open_stream(io.BytesIO(data)) as reader:
        return reader.read_all()


def test_a_value_goes_out_in_each_format(interpreter: Interpreter):
    """Whole, and described."""
    interpreter.ok("x = {'k': ['é'] * 400_000}")
    first, data, last = export(interpreter, "x", "json")
    assert json.loads(data) == {"k": ["é"] * 400_000}
    assert (first["name"], first["type_name"], first["length"], first["mime_type"]) == (
        "x",
        "dict",
        1,
        "application/json",
    )
    assert last == {"type": "end"}
    assert export(interpreter, "x", "repr")[1].decode() == str({"k": ["é"] * 400_000})
    assert export(interpreter, "x", "mime")[0]["mime_type"] in ("text/plain", "application/json")


FRAME = pd.DataFrame(
    {
        "number": [1, 2, 3],
        "text": ["x", None, "é"],
        "float": [0.5, float("nan"), -0.0],
        "time": pd.to_datetime(["2024-01-01", None, "2026-05-04"], utc=True),
        "kind": pd.Categorical(["a", "b", "a"]),
    },
    index=pd.Index(["p", "q", "r"], name="i"),
)


def test_what_goes_out_comes_in_as_it_was(rich: Interpreter):
    """Frames with their index and types, Series with their name, arrays with their shape and type."""
    bind(rich, "frame", arrow(pa.Table.from_pandas(FRAME)), "arrow", arrow_as="pandas")
    rich.ok(
        "import numpy as np, pandas as pd\n"
        "one, none, seven = frame['number'], pd.Series([1.5]), pd.Series([True, False], name=7)\n"
        "deep = np.arange(24, dtype='u2').reshape(2, 3, 4).transpose(2, 0, 1)\n"
        "masks = np.eye(3, dtype=bool); days = np.array(['2024-02-29', 'NaT'], dtype='M8[D]')\n"
        "swapped = np.arange(3, dtype='>i4'); empty = np.zeros((0, 5)); step = np.arange(10)[::3]\n"
        "big = pd.DataFrame({'a': np.arange(1_000_000), 'b': np.random.default_rng(1).random(1_000_000)})"
    )
    for name, kind in (
        ("frame", "pandas"),
        ("one", "pandas"),
        ("none", "pandas"),
        ("seven", "pandas"),
        ("big", "pandas"),
        ("deep", "numpy"),
        ("masks", "numpy"),
        ("days", "numpy"),
        ("swapped", "numpy"),
        ("empty", "numpy"),
        ("step", "numpy"),
    ):
        first, data, last = export(rich, name)
        assert (first["mime_type"], last) == ("application/vnd.apache.arrow.stream", {"type": "end"})
        assert bind(rich, "back", data, "arrow", arrow_as=kind)["type"] == "imported", name
        if kind == "numpy":
            rich.ok(f"np.testing.assert_array_equal(back, {name}); assert back.shape == {name}.shape")
            rich.ok(f"assert back.dtype == {name}.dtype.newbyteorder('='), back.dtype")
        else:
            rich.ok(
                f"pd.testing.assert_{'frame' if name in ('frame', 'big') else 'series'}_equal(back, {name})"
            )
    assert rich.thread_count() == 1


def test_tables_of_arrow_go_out_as_they_are(rich: Interpreter):
    """Tables, batches, columns, whatever is nested in them."""
    table = pa.table(
        {"a": [[1], None], "b": [{"c": 1}, {"c": 2}], "d": pa.array(["x", "x"]).dictionary_encode()}
    )
    bind(rich, "t", arrow(table), "arrow")
    assert table_of(export(rich, "t")[1]) == table
    rich.ok("b = t.to_batches()[0]; c = t.column('a'); a = c.chunk(0)")
    assert table_of(export(rich, "b")[1]) == table
    for name in ("c", "a"):
        assert table_of(export(rich, name)[1]).column("values").to_pylist() == [[1], None]


def test_batches_are_small_enough_to_be_taken_one_by_one(rich: Interpreter):
    """Of a few megabytes, however large the table."""
    rich.ok("import numpy as np, pyarrow as pa\nt = pa.table({'x': np.arange(4_000_000)})")
    with pa.ipc.open_stream(io.BytesIO(export(rich, "t")[1])) as reader:
        sizes = [batch.nbytes for batch in reader]
    assert sum(sizes) == 32_000_000
    assert 6 <= len(sizes) <= 10


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("{1: 2}", "neither"),
        ("[1, 2]", "neither"),
        ("np.array(5)", "without dimensions"),
        ("np.array([1j])", "Arrow cannot say"),
        ("np.zeros(2, [('a', int)])", "Arrow cannot say"),
        ("np.array([object()])", "Arrow cannot say"),
        ("pd.DataFrame([[1, 2]], columns=['a', 'a'])", "Duplicate"),
        ("pd.DataFrame({'a': [1, 'x']})", "column a"),
    ],
)
def test_what_arrow_cannot_say_is_said_so(rich: Interpreter, value: str, text: str):
    """With what stands in the way."""
    rich.ok(f"import numpy as np, pandas as pd\nx = {value}")
    first, data, _ = export(rich, "x")
    assert (first["type"], first["reason"], data) == ("refused", "format", b"")
    assert text in first["message"]


def test_the_other_refusals(interpreter: Interpreter):
    """A name that is not bound, a value over the bound, code of the user's that fails or never ends."""
    interpreter.ok(
        "big = 'x' * 3_000_000\n"
        "class Fails:\n    def __repr__(self): raise KeyError('boom')\n"
        "class Huge:\n    def __repr__(self): return 'x' * (10 << 30)\n"
        "fails, huge = Fails(), Huge()"
    )
    assert export(interpreter, "absent")[0]["reason"] == "missing"
    assert export(interpreter, "__builtins__")[0]["reason"] == "missing"
    assert export(interpreter, "big", "repr", 1_000_000)[0]["reason"] == "too_large"
    assert len(export(interpreter, "big", "repr", 3_000_002)[1]) == 3_000_002
    failed = export(interpreter, "fails", "repr")[0]
    assert (failed["reason"], "boom" in failed["message"]) == ("failed", True)
    assert export(interpreter, "huge", "repr")[0]["reason"] == "too_large"
    assert interpreter.ok("len(big)").json == 3_000_000


def test_a_bound_holds_for_streams_too(rich: Interpreter):
    """Also where the first pieces were sent."""
    rich.ok("import numpy as np\nx = np.arange(1_000_000)")
    first, data, last = export(rich, "x", "arrow", 3_000_000)
    assert (first["type"], last["type"], last["reason"]) == ("header", "refused", "too_large")
    assert len(data) <= 3_000_000


def test_a_sleeper_sends_what_it_has(timeline: Timeline):
    """The state as it was when it fell asleep, also while the live one runs on."""
    timeline.ok("x = [1]")
    snapshot = timeline.snapshot()
    timeline.ok("x = [2]")
    assert export(timeline.interpreter, "x", "json", sleeper=snapshot)[1] == b"[1]"
    assert export(timeline.interpreter, "x", "json")[1] == b"[2]"


def test_an_exporter_changes_nothing(interpreter: Interpreter):
    """What its code does, it does to a copy."""
    interpreter.ok(
        "n = 0\nclass Counts:\n    def __repr__(self):\n        global n\n        n += 1\n        print('seen')\n"
        "        return str(n)\n"
        "x = Counts()"
    )
    assert export(interpreter, "x", "repr")[1] in (b"1", b"2")
    done = interpreter.ok("n")
    assert (done.json, done.stdout) == (0, "")


def test_arrays_of_numpy_are_sent_without_a_copy_of_them(rich: Interpreter):
    """Far more than an exporter may take: a gigabyte of zeros that was never written to has no memory."""
    rich.ok("import numpy as np\nx = np.zeros((3 << 30) // 8)")
    first, data, last = export(rich, "x", "arrow", 20_000_000)
    assert (first["type"], first["shape"], last.get("reason")) == ("header", [(3 << 30) // 8], "too_large")
    assert 10_000_000 < len(data) <= 20_000_000
    assert np.frombuffer(data[-1000:], "u1").sum() == 0
