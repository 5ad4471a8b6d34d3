"""Variables set, exported and imported through the whole path, on each runtime."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sandbank import Client, Session, reasons
from sandbank.events import Finished, Started
from sandbank.v1 import state_pb2, variable_pb2

from tests.raw_api import Api, refused
from tests.sandboxes import kill_sandbox
from tests.server_process import ServerProcess

Change = variable_pb2.VariableChange
PLAIN: dict[str, Any] = {"a": [None, True, 7, -0.5, 10**40, "é\n"], "b": {}, "c": [[]], "": {"d": [1.5]}}


def set_json(
    api: Api, session: Session, name: str, text: str, **fields: Any
) -> state_pb2.SetVariableResponse:
    """Bind a variable to JSON."""
    request = state_pb2.SetVariableRequest(session_id=session.session_id, name=name, json=text, **fields)
    answer: state_pb2.SetVariableResponse = api.state.SetVariable(request)
    return answer


def test_plain_data_goes_in_as_it_is(session: Session) -> None:
    """With its types, and code sees it."""
    session.set("x", PLAIN)
    assert session.run("print(ascii(x))").stdout.strip() == ascii(PLAIN)
    with pytest.raises(TypeError):
        session.set("x", (1, 2))


def test_what_it_changed_is_told(session: Session) -> None:
    """As an operation tells it; nothing where it was so already."""
    change = session.set("x", [1, 2])
    assert change is not None
    assert (change.name, change.kind, change.type_name, change.preview) == (
        "x",
        Change.KIND_ADDED,
        "list",
        "[1, 2]",
    )
    change = session.set("x", "text")
    assert change is not None
    assert (change.kind, change.type_name, change.previous_type_name) == (Change.KIND_MODIFIED, "str", "list")
    assert session.set("x", "text") is None


def test_a_value_is_bound_in_its_turn(session: Session) -> None:
    """While an operation runs it waits, and nothing of it is seen."""
    running = iter(
        session.execute("import os, time\nx = 1\nwhile not os.path.exists('go'): time.sleep(.005)\nx + 1")
    )
    assert isinstance(next(running), Started)
    with ThreadPoolExecutor(1) as pool:
        setting = pool.submit(session.set, "x", 5)
        with pytest.raises(TimeoutError):
            setting.result(0.3)
        session.files.upload(b"", "go")
        finished = list(running)[-1]
        assert isinstance(finished, Finished)
        assert finished.operation.result["text/plain"] == b"2"
        change = setting.result(60)
    assert change is not None
    assert change.previous_type_name == "int"
    assert session.run("x").value == 5


def test_a_transaction_is_minded(session: Session) -> None:
    """Refused from outside, undone with it, and seen by its members."""
    session.set("x", 1)
    with session.transaction() as tx:
        with pytest.raises(reasons.TransactionOpen):
            session.set("x", 9)
        tx.set("x", 2)
        assert tx.run("x").value == 2
        tx.rollback()
    assert session.run("x").value == 1
    with session.transaction() as tx:
        tx.set("x", 3)
    assert session.run("x").value == 3
    with pytest.raises(reasons.NoSuchTransaction):
        tx.set("x", 4)


BAD_JSON = [
    "",
    " ",
    "{",
    "[1] 2",
    "nan",
    "NaN",
    "-Infinity",
    "{'a': 1}",
    '"\n"',
    "1" * 5000,
    "[" * 100_000,
    "\0",
]


def test_what_is_no_json_is_refused(session: Session, api: Api) -> None:
    """And the variable stays."""
    session.set("x", "before")
    for text in BAD_JSON:
        with refused("INVALID_ARGUMENT", "BAD_FIELD", "json"):
            set_json(api, session, "x", text)
    assert set_json(api, session, "x", ' \n["\\ud83d", 1e400] ').change.type_name == "list"
    assert session.run("x == ['\\ud83d', float('inf')]").value is True


BAD_NAMES = [
    "",
    "a b",
    "1a",
    "a.b",
    "class",
    "None",
    "ﬁ",
    "_",
    "__builtins__",
    "__name__",
    "x" * 1001,
    "a\0",
    "x\n",
]


def test_a_name_is_an_identifier(session: Session, api: Api) -> None:
    """That code can use; an underscore does not matter."""
    for name in BAD_NAMES:
        with refused("INVALID_ARGUMENT", "BAD_FIELD", "name"):
            set_json(api, session, name, "1")
    for name in ("_private", "é", "match", "print", "x" * 1000):
        set_json(api, session, name, "1")
    assert session.run("_private + é + match + print").value == 4


def test_a_value_that_was_set_is_in_checkpoints(client: Client) -> None:
    """It is a change, also for the next one, which saves only what has changed."""
    with client.session(template="slim") as session:
        session.run("x = 1; y = 2")
        session.checkpoint()
        session.set("x", 3)
        saved = session.checkpoint()
        with client.session(template="slim", from_checkpoint_id=saved.checkpoint_id) as other:
            assert other.run("[x, y]").value == [3, 2]


def test_under_synchronous_it_is_durable_at_once(client: Client) -> None:
    """A checkpoint has it when the call returns."""
    with client.session(template="slim", checkpoint_policy="synchronous") as session:
        session.set("x", 5)
        saved = session.refresh().latest_checkpoint_id
        assert [each.name for each in client.checkpoint(saved).variables] == ["x"]


def test_a_value_of_any_size_goes_out_and_in(session: Session, tmp_path: Path) -> None:
    """Beyond what a message holds: in pieces, to and from files."""
    session.run("x = list(range(3_000_000))")
    with pytest.raises(reasons.TooLarge):
        session.get("x", "json")
    file = tmp_path / "x.json"
    found = session.export_variable("x", file, format="json")
    assert (found.variable.length, found.mime_type, found.data) == (3_000_000, "application/json", b"")
    assert file.stat().st_size > 16 << 20
    change = session.import_variable("y", file, format="json")
    assert change is not None
    assert (change.kind, change.type_name) == (Change.KIND_ADDED, "list")
    assert session.run("x == y").value is True


def test_without_pyarrow_there_is_no_arrow(client: Client, server: ServerProcess) -> None:
    """Said as such, of either direction."""
    if server.runtime == "local":
        pytest.skip("on the local runtime sandboxes have the packages of the tests' environment")
    with client.session(template="slim") as session:
        session.run("x = [1]")
        with pytest.raises(reasons.FormatUnavailable, match="PyArrow"):
            session.get("x", "arrow")
        with pytest.raises(reasons.FormatUnavailable, match="PyArrow"):
            session.export_variable("x")
        with pytest.raises(reasons.FormatUnavailable, match="PyArrow"):
            session.set("x", pa.table({"a": [1]}))
        assert session.run("x").value == [1]


@pytest.fixture
def data(client: Client, server: ServerProcess) -> Iterator[Session]:
    """A session where there is PyArrow."""
    with client.session(template="data" if server.runtime == "docker" else "slim") as session:
        yield session


def test_tables_and_arrays_go_out_and_in(data: Session) -> None:
    """As pandas, NumPy and PyArrow have them, without pickling."""
    frame = pd.DataFrame(
        {"a": [1, 2, 3], "b": ["x", None, "é"], "c": [0.5, float("nan"), 2]}, index=["p", "q", "r"]
    )
    data.set("frame", frame)
    assert data.run("import pandas; type(frame) is pandas.DataFrame").value is True
    pd.testing.assert_frame_equal(data.get("frame", "arrow").to_pandas(), frame)
    data.run("frame.loc['p', 'a'] = 5; series = frame['a']")
    assert data.export_variable("frame").to_pandas()["a"].to_list() == [5, 2, 3]
    assert data.get("series", "arrow").to_arrow().column_names == ["a", "__index_level_0__"]
    data.set("back", pd.Series([1.5, 2.5]))
    assert data.run("type(back).__name__, back.name, back.sum().item()").text == "('Series', None, 4.0)"
    array = np.arange(24, dtype="f4").reshape(2, 3, 4)
    data.set("array", array)
    assert data.run("array[0, 0, 0] = 7; array.shape, str(array.dtype)").text == "((2, 3, 4), 'float32')"
    found = data.export_variable("array").to_arrow()
    assert found.column(0).combine_chunks().to_numpy_ndarray().sum() == array.sum() + 7
    table = pa.table({"a": [[1], None], "b": [{"c": 1}, {"c": 2}]})
    change = data.set("table", table)
    assert change is not None
    assert change.type_name == "pyarrow.lib.Table"
    assert data.get("table", "arrow").to_arrow() == table
    data.set("table", found.schema.empty_table(), arrow_as="table")
    assert data.run("len(table)").value == 0


def test_what_arrow_cannot_say_is_refused(data: Session) -> None:
    """With the reason."""
    data.run("import numpy\nx = {1: 2}\ny = numpy.array([1j])\nz = numpy.arange(1_000_000)")
    for name, text in (("x", "neither a table nor an array"), ("y", "Arrow cannot say")):
        for read in (lambda name: data.get(name, "arrow"), data.export_variable):
            with pytest.raises(reasons.FormatUnavailable, match=text):
                read(name)
    with pytest.raises(reasons.TooLarge):
        data.get("z", "arrow", max_bytes=100_000)
    with pytest.raises(reasons.TooLarge):
        data.export_variable("z", max_bytes=3_000_000)
    with pytest.raises(reasons.VariableNotFound):
        data.export_variable("absent")


def test_what_is_no_arrow_stream_is_refused(data: Session) -> None:
    """Cut off, mangled, or with something after its end; the variable stays, and so does the session."""
    data.run("x = 'before'")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema([("a", pa.string()), ("b", pa.int64())])) as writer:
        for _ in range(2):
            writer.write_batch(pa.record_batch({"a": ["x", "yy", None], "b": [1, None, 3]}))
    whole = bytes(sink.getvalue())
    bad = [
        b"",
        b"PAR1",
        b"\xff" * 1000,
        whole[:-8],
        whole[:-9],
        whole[: len(whole) // 2],
        whole + b"\0",
        whole + whole,
    ]
    random = Random(5)
    for _ in range(40):
        mangled = bytearray(whole)
        for _ in range(8):
            mangled[random.randrange(len(mangled))] = random.randrange(256)
        bad.append(bytes(mangled))
    refusals = 0
    for stream in bad:
        try:
            data.set("x", stream, arrow_as="pandas")
        except (reasons.BadField, reasons.TooLarge):
            refusals += 1
            continue
        data.set("x", "before")  # a stream all the same
    assert refusals >= 8 + 10
    assert data.run("x").value == "before"
    for stream, text in ((whole, "one column"), (_column([1, None]), "nulls")):
        with pytest.raises(reasons.BadField, match=text):
            data.set("x", stream, arrow_as="numpy")
    assert data.run("x").value == "before"


def _column(values: list[int | None]) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table({"a": values})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def test_what_was_set_and_is_lost_is_named(client: Client, server: ServerProcess) -> None:
    """With the sandbox goes what was set since the checkpoint, in transactions that were committed too."""
    with client.session(template="slim", checkpoint_policy="none") as session:
        session.set("kept", 1)
        session.set("again", 1)
        saved = session.checkpoint()
        session.set("again", 2)
        with session.transaction() as tx:
            tx.set("committed", 3)
        with session.transaction() as tx:
            tx.set("undone", 4)
            tx.rollback()
        kill_sandbox(server, session.refresh().sandbox_id)
        give_up = time.monotonic() + 60
        while not session.refresh().last_recovery.HasField("wall_time"):
            assert time.monotonic() < give_up
        recovery = session.info.last_recovery
        assert recovery.from_checkpoint_id == saved.checkpoint_id
        assert sorted(recovery.lost_variables) == ["again", "committed"]
        assert session.run("[kept, again, 'committed' in globals()]").value == [1, 1, False]


def test_under_synchronous_it_is_durable_also_beside_an_operation(client: Client) -> None:
    """The checkpoint that has it may be that of the operation: before that nobody is told that it was set."""
    with client.session(template="slim", checkpoint_policy="synchronous") as session:
        session.run("x = 1")
        running = iter(session.execute("import os, time\nwhile not os.path.exists('go'): time.sleep(.005)"))
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(session.set, "x", 2)
            assert isinstance(next(running), Started)
            second = pool.submit(session.set, "y", 3)
            session.files.upload(b"", "go")
            list(running)
            first.result(60)
            second.result(60)
        saved = session.refresh().latest_checkpoint_id
        with client.session(template="slim", from_checkpoint_id=saved) as other:
            assert other.run("[x, y]").value == [2, 3]
