"""Values of variables into a session and out of it: plain data, tables and arrays, files of any size."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sandbank import AsyncClient, Client, reasons
from sandbank.errors import BadAnswer, Unavailable
from sandbank.v1 import state_pb2

from tests.fakes.api_acts import BreakAfter, Refuse
from tests.fakes.api_server import FakeServer
from tests.fakes.api_state import ARROW
from tests.unit.client.conftest import Run

AS = state_pb2.ArrowAs


def table_of(data: bytes) -> pa.Table:
    """Read a stream."""
    with pa.ipc.open_stream(data) as reader:
        return reader.read_all()


@pytest.mark.parametrize(
    ("value", "arrow_as"),
    [
        (pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=[5, 6]), AS.ARROW_AS_PANDAS),
        (pd.Series([1.5, 2], name="s"), AS.ARROW_AS_PANDAS),
        (pd.Series([1.5, 2]), AS.ARROW_AS_PANDAS),
        (np.arange(5), AS.ARROW_AS_NUMPY),
        (np.ones((2, 3, 4), dtype=">f4"), AS.ARROW_AS_NUMPY),
        (np.eye(3, dtype=bool), AS.ARROW_AS_NUMPY),
        (pa.table({"a": [[1], None]}), AS.ARROW_AS_TABLE),
        (pa.record_batch({"a": [1]}), AS.ARROW_AS_TABLE),
    ],
    ids=lambda value: type(value).__name__,
)
def test_tables_and_arrays_are_sent_as_arrow(
    server: FakeServer, client: Client, value: Any, arrow_as: AS
) -> None:
    """Each to be what it is here; nothing is pickled."""
    session = client.session()
    session.set("x", value)
    (request,) = server.called("SetVariable")
    assert (request.WhichOneof("value"), request.arrow_as) == ("arrow", arrow_as)
    assert table_of(request.arrow).num_rows == len(value)
    session.set("x", value, arrow_as="table")
    assert server.called("SetVariable")[-1].arrow_as == AS.ARROW_AS_TABLE


def test_a_stream_is_sent_as_it_is(server: FakeServer, client: Client) -> None:
    """As what was asked for."""
    session = client.session()
    session.set("x", b"stream", arrow_as="numpy")
    session.set("x", memoryview(b"view"))
    sent = [(request.arrow, request.arrow_as) for request in server.called("SetVariable")]
    assert sent == [(b"stream", AS.ARROW_AS_NUMPY), (b"view", AS.ARROW_AS_UNSPECIFIED)]
    with pytest.raises(ValueError, match="pandas, table, numpy"):
        session.set("x", b"stream", arrow_as="pickle")


def test_what_arrow_cannot_say_is_an_error_here(server: FakeServer, client: Client) -> None:
    """Before anything is sent."""
    session = client.session()
    for value in (np.array(5), np.zeros((2, 0)), np.array([1j]), pd.DataFrame([[1, 2]], columns=["a", "a"])):
        with pytest.raises((ValueError, pa.ArrowException)):
            session.set("x", value)
    assert server.called("SetVariable") == []


def test_large_values_go_in_pieces(server: FakeServer, client: Client) -> None:
    """Without the caller having to choose."""
    session = client.session()
    change = session.set("x", ["y" * 100] * 20_000)
    assert change is not None
    assert change.name == "x"
    session.set("t", np.arange(1_000_000))
    assert server.called("SetVariable") == []
    assert server.variables["x"] == ["y" * 100] * 20_000
    assert table_of(server.variables["t"]).num_rows == 1_000_000
    header = server.called("ImportVariable")[1][0].header
    assert (header.format, header.arrow_as) == (state_pb2.VALUE_FORMAT_ARROW, AS.ARROW_AS_NUMPY)


def test_files_go_in_and_come_out(server: FakeServer, client: Client, tmp_path: Path) -> None:
    """By path, file object or bytes; out into memory too."""
    session = client.session()
    file = tmp_path / "x.json"
    file.write_text("[1, 2]")
    session.import_variable("x", file, format="json")
    session.import_variable("part", io.BytesIO(b"[3]"), format="json")
    assert (server.variables["x"], server.variables["part"]) == ([1, 2], [3])
    found = session.export_variable("x", format="json")
    assert (found.value, found.variable.name, found.as_of.operation_id) == ([1, 2], "x", "op-last")
    out = tmp_path / "out.json"
    found = session.export_variable("x", out, format="json")
    assert (found.data, json.loads(out.read_bytes()), list(tmp_path.glob(".*"))) == (b"", [1, 2], [])
    sink = io.BytesIO()
    session.export_variable("x", sink, format="json")
    assert json.loads(sink.getvalue()) == [1, 2]


def test_an_export_that_breaks_off_leaves_no_file(server: FakeServer, client: Client, tmp_path: Path) -> None:
    """Neither a part of it, nor nothing in the place of what was there."""
    session = client.session()
    server.variables["x"] = "y" * 100_000
    out = tmp_path / "x.json"
    out.write_text("before")
    for messages in (1, 5):
        server.sabotage["ExportVariable"].append(BreakAfter(messages))
        with pytest.raises(Unavailable):
            session.export_variable("x", out, format="json")
    server.sabotage["ExportVariable"].append(BreakAfter(0, politely=True))
    with pytest.raises(BadAnswer):
        session.export_variable("x", out, format="json")
    assert (out.read_text(), [file.name for file in tmp_path.iterdir()]) == ("before", ["x.json"])
    with pytest.raises(reasons.VariableNotFound):
        session.export_variable("absent", out)


def test_an_import_is_tried_again_from_the_beginning(server: FakeServer, client: Client) -> None:
    """Where the server asks for it; a file object is read again from where it stood."""
    session = client.session()
    file = io.BytesIO(b"..[1]")
    file.seek(2)
    server.sabotage["ImportVariable"].append(
        Refuse(grpc.StatusCode.UNAVAILABLE, "SESSION_BUSY", retry_delay=0.01)
    )
    session.import_variable("x", file, format="json")
    assert (server.variables["x"], len(server.called("ImportVariable"))) == ([1], 2)
    assert not file.closed


def test_what_was_read_becomes_a_table(server: FakeServer, client: Client) -> None:
    """Of PyArrow's or pandas'."""
    session = client.session()
    session.set("x", pd.DataFrame({"a": [1, 2]}, index=["p", "q"]))
    found = session.get("x", "arrow")
    assert found.mime_type == ARROW
    assert isinstance(found.value, bytes)
    assert found.to_arrow().num_rows == 2
    assert found.to_pandas().loc["q", "a"] == 2


def test_a_transaction_is_named(server: FakeServer, client: Client) -> None:
    """In each direction."""
    session = client.session()
    with session.transaction() as tx:
        tx.import_variable("x", b"[1]", format="json")
        tx.export_variable("x", format="json")
    assert server.called("ImportVariable")[0][0].header.transaction_id == "tx-1"
    assert server.called("ExportVariable")[0].transaction_id == "tx-1"


async def test_the_async_client_does_alike(
    server: FakeServer, async_client: AsyncClient, tmp_path: Path
) -> None:
    """Set, import, export."""
    session = await async_client.session()
    await session.set("x", np.arange(1_000_000))
    await session.import_variable("y", b"[1]", format="json")
    assert (await session.export_variable("y", format="json")).value == [1]
    found = await session.export_variable("x", tmp_path / "x.arrow")
    assert (found.data, (tmp_path / "x.arrow").stat().st_size > 8_000_000) == (b"", True)


def test_the_command_line_sets_and_gets(server: FakeServer, run: Run, tmp_path: Path) -> None:
    """Plain data as an argument or from standard input; files by their name's end."""
    run("exec", "1+1", "--keep")
    done = run("variables", "set", "s-1", "x", '{"a": [1]}')
    assert (done.exit_code, done.stdout, "added x" in done.stderr) == (0, "", True)
    assert server.variables["x"] == {"a": [1]}
    assert run("variables", "set", "s-1", "y", "-", given="[2]").exit_code == 0
    assert run("variables", "get", "s-1", "y").stdout == "[2]\n"
    assert "x" in run("variables", "list", "s-1").stdout
    file = tmp_path / "y.json"
    assert run("variables", "export", "s-1", "y", str(file), "--format", "json").exit_code == 0
    assert json.loads(file.read_text()) == [2]
    assert run("variables", "export", "s-1", "y", "-", "--format", "json").stdout == "[2]"
    assert run("variables", "import", "s-1", "z", str(file)).exit_code == 0
    assert server.variables["z"] == [2]
    stream = tmp_path / "t.arrow"
    stream.write_bytes(b"arrow")
    done = run(
        "variables", "import", "s-1", "t", str(stream), "--as", "pandas", "--transaction", "tx", "--json"
    )
    assert json.loads(done.stdout)["change"]["name"] == "t"
    header = server.called("ImportVariable")[-1][0].header
    assert (header.arrow_as, header.transaction_id) == (AS.ARROW_AS_PANDAS, "tx")


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", "s-1", "x", "--format", "pickle"),
        ("import", "s-1", "x", "absent.json"),
        ("import", "s-1", "x", "absent.json", "--format", "pickle"),
        ("import", "s-1", "x", "-", "--as", "list"),
    ],
)
def test_wrong_usage_is_told(run: Run, arguments: tuple[str, ...]) -> None:
    """Exit code 2."""
    run("exec", "1+1", "--keep")
    done = run("variables", *arguments)
    assert (done.exit_code, bool(done.stderr)) == (2, True)
