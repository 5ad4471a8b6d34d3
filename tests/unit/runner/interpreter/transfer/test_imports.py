"""Values that come by a connection and are bound in the live interpreter."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.unit.runner.interpreter.checkpoints.plane import Plane, begin_writing
from tests.unit.runner.interpreter.checkpoints.test_incremental import new
from tests.unit.runner.interpreter.harness import Interpreter
from tests.unit.runner.interpreter.transfer.harness import PIECE_BYTES, arrow, begin_import, bind

ADDED, MODIFIED = 1, 2
QUIET = {"report_changes": False}


def refused(told: dict[str, Any], reason: str, text: str = "") -> None:
    """Check a refusal."""
    assert (told["type"], told["reason"]) == ("import_refused", reason), told
    assert text in told["message"], told


@pytest.mark.parametrize("piece", [1, 7, 1000, PIECE_BYTES])
def test_it_comes_in_pieces_of_any_size(interpreter: Interpreter, piece: int):
    """And is one value."""
    value = {"k": list(range(300)), "é": "\n" * 100}
    data = json.dumps(value, ensure_ascii=False).encode()
    told = bind(interpreter, "x", data, piece=piece)
    assert (told["type"], told["change"]["kind"], told["change"]["type_name"]) == ("imported", ADDED, "dict")
    assert interpreter.ok("x").json == value


def test_the_change_is_that_of_the_variable_and_of_nothing_else(interpreter: Interpreter):
    """Whether or not operations report theirs; none where the value is as it was."""
    interpreter.start("a, x = [1], [1]", **QUIET)
    interpreter.finish()
    told = bind(interpreter, "x", b"[2]")["change"]
    assert (told["name"], told["kind"], told["previous_type_name"], told["preview"]) == (
        "x",
        MODIFIED,
        "list",
        "[2]",
    )
    interpreter.start("x.append(3); a.append(4)", **QUIET)
    interpreter.finish()
    assert bind(interpreter, "x", b"[2, 3]")["change"] is None
    assert bind(interpreter, "x", b'"two"')["change"]["previous_type_name"] == "list"
    done = interpreter.ok("b = 5").header
    assert [change["name"] for change in done["changes"]] == ["b"]
    done = interpreter.ok("x += '!'").header
    assert [(change["name"], change["kind"]) for change in done["changes"]] == [("x", MODIFIED)]


def test_the_next_checkpoint_saves_it_and_nothing_else_anew(interpreter: Interpreter, plane: Plane):
    """What was bound counts as changed; what was refused does not."""
    interpreter.ok("a, b, c = bytearray(100_000), bytearray(100_001), [3]")
    plane.checkpoint(interpreter, "one")
    bind(interpreter, "b", b"[1]")
    refused(bind(interpreter, "c", b"["), "BAD_FIELD")
    second = plane.checkpoint(interpreter, "two")
    assert new(second) == {"b"}
    bind(interpreter, "fresh", b"1")
    assert new(plane.checkpoint(interpreter, "three")) == {"fresh"}


def test_a_checkpoint_that_is_being_written_does_not_have_it(interpreter: Interpreter, plane: Plane):
    """It counts for the next one."""
    interpreter.ok("x = [1]")
    plane.checkpoint(interpreter, "one")
    peer, pid = begin_writing(interpreter, "two")
    bind(interpreter, "x", b"[2]")
    manifest = plane.hear_checkpoint(peer, "two")
    peer.sock.close()
    assert os.waitstatus_to_exitcode(interpreter.template.wait(pid)) == 0
    interpreter.send({"type": "checkpoint_ended", "checkpoint_id": "two", "durable": True})
    plane.manifests["two"] = manifest
    assert new(manifest) == set()
    assert new(plane.checkpoint(interpreter, "three")) == {"x"}


BROKEN = [
    b"",
    b" ",
    b"{",
    b"[1] 2",
    b"nan",
    b"Infinity",
    b"\xff",
    b"'a'",
    b'"\n"',
    b"[" * 200_000,
    b"1" * 5000,
    b"\0",
]


@pytest.mark.parametrize("data", BROKEN, ids=lambda data: str(data[:8]))
def test_what_is_no_json_changes_nothing(interpreter: Interpreter, data: bytes):
    """The interpreter says why, and goes on."""
    interpreter.ok("x = 1")
    refused(bind(interpreter, "x", data), "BAD_FIELD")
    assert interpreter.ok("x").json == 1


@pytest.mark.parametrize("name", ["", "a b", "1a", "class", "_", "__builtins__", "ﬁ", "a\n", "\ud800"])
def test_a_name_that_code_could_not_bind_is_refused(interpreter: Interpreter, name: str):
    """Before anything is read."""
    refused(bind(interpreter, name, b"1"), "BAD_FIELD", "identifier")


@pytest.mark.parametrize("said", [0, 1, 100])
def test_one_that_breaks_off_binds_nothing(interpreter: Interpreter, said: int):
    """Wherever it does."""
    interpreter.ok("x = 1")
    peer = begin_import(interpreter, "x")
    assert peer.hear() == {"type": "importer"}
    if said:
        peer.give(b"[" + b"1," * (said // 2))
    peer.sock.close()
    refused(interpreter.receive_any().header, "SESSION_BUSY", "broke off")
    assert interpreter.ok("x").json == 1


def test_frames_that_are_none_bind_nothing(interpreter: Interpreter):
    """Another header than the end, a piece that is too large, a kind that is none."""
    interpreter.ok("x = 1")
    for frame in (
        b"\0\0\0\x0eJ" + b'{"type":"end!"',
        b"\x7f\0\0\0D",
        b"\0\0\0\1Xx",
        b"\0\x10\0\1D",
        b"\0\0\0\5Jhello",
    ):
        peer = begin_import(interpreter, "x")
        assert peer.hear() == {"type": "importer"}
        peer.sock.sendall(frame)
        peer.sock.shutdown(1)
        refused(interpreter.receive_any().header, "SESSION_BUSY")
        peer.sock.close()
    assert interpreter.ok("x").json == 1


def test_without_a_connection_there_is_nothing_to_bind(interpreter: Interpreter):
    """The interpreter goes on."""
    interpreter.send(
        {"type": "import", "name": "x", "format": "json", "arrow_as": "table", "preview_characters": 9}
    )
    refused(interpreter.receive_any().header, "SESSION_BUSY", "descriptor")
    refused(bind(interpreter, "x", b"1", "pickle"), "FORMAT_UNAVAILABLE")
    assert interpreter.ok("1 + 1").json == 2


def test_user_code_cannot_stand_in_the_way(interpreter: Interpreter):
    """Not by what it replaces, nor by what the end of the value before it does."""
    interpreter.ok(
        "import builtins, json, sys\n"
        "builtins.len = builtins.isinstance = None\n"
        "json.JSONDecoder = json.loads = json.decoder.JSONDecodeError = None\n"
        "def trace(frame, *_):\n    if '/transfer/' in frame.f_code.co_filename: raise RuntimeError\n"
        "sys.settrace(trace)\n"
        "class Ends:\n    def __del__(self):\n        global log\n        log = 'ended'; raise SystemExit\n"
        "x, y = Ends(), 1"
    )
    assert bind(interpreter, "x", b"[1, 2]")["change"]["kind"] == MODIFIED
    assert interpreter.ok("[x, log]").json == [[1, 2], "ended"]
    refused(bind(interpreter, "y", b"{]"), "BAD_FIELD")
    assert interpreter.ok("y").json == 1


def test_an_audit_hook_that_forbids_everything_costs_the_import_only(interpreter: Interpreter):
    """It is refused or done, and the interpreter lives."""
    interpreter.ok(
        "import sys\ndef hook(event, *_):\n    if event not in ('compile', 'exec'): raise RuntimeError('no')\n"
        "sys.addaudithook(hook)"
    )
    for form in ("json", "arrow"):
        told = bind(interpreter, "x", b"[1]", form)
        assert told["type"] in ("imported", "import_refused")
    assert interpreter.ok("1 + 1").json == 2


def test_what_memory_does_not_hold_is_too_large(interpreter: Interpreter):
    """The variable stays."""
    interpreter.ok(
        "import resource\nx = 1\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))"
    )
    refused(bind(interpreter, "x", b'"' + b"x" * (100 << 20) + b'"'), "TOO_LARGE")
    assert interpreter.ok("x").json == 1


TABLE = pa.table({"a": [1, 2, None], "b": ["x", None, "é"], "c": [[1.5], [], None]})


def test_tables_become_what_was_asked_for(rich: Interpreter):
    """PyArrow's, pandas', or an array of NumPy's; all may be written to, where they may at all."""
    told = bind(rich, "t", arrow(TABLE, 2), "arrow")
    assert told["change"]["type_name"] == "pyarrow.lib.Table"
    assert rich.ok("t.to_pydict()").text == str(TABLE.to_pydict())
    frame = pd.DataFrame({"a": np.arange(5), "b": list("vwxyz")}, index=pd.Index(list("qrstu"), name="i"))
    told = bind(rich, "f", arrow(pa.Table.from_pandas(frame)), "arrow", arrow_as="pandas")
    assert told["change"]["type_name"] == "pandas.DataFrame"
    assert (
        rich.ok("f.loc['q', 'a'] = 9; f['b'] = f['b'] + '!'; f.to_csv()").json
        == "i,a,b\nq,9,v!\nr,1,w!\ns,2,x!\nt,3,y!\nu,4,z!\n"
    )
    told = bind(rich, "n", arrow(pa.table({"x": np.arange(6, dtype="i2")}), 4), "arrow", arrow_as="numpy")
    assert told["change"]["type_name"] == "numpy.ndarray"
    assert rich.ok("n[0] = 7; [n.tolist(), n.dtype.name, n.flags.writeable]").json == [
        [7, 1, 2, 3, 4, 5],
        "int16",
        True,
    ]


def test_no_thread_is_left_by_arrow(rich: Interpreter):
    """Else no snapshot could be taken any more."""
    for kind in ("table", "pandas", "numpy"):
        table = TABLE if kind != "numpy" else pa.table({"x": np.arange(3_000_000)})
        assert bind(rich, "t", arrow(table), "arrow", arrow_as=kind)["type"] == "imported"
        assert rich.thread_count() == 1


def test_a_batch_may_be_larger_than_what_is_read_at_once(rich: Interpreter):
    """And one that only says so costs nothing."""
    array = np.arange(5_000_000, dtype="i8")
    assert (
        bind(rich, "n", arrow(pa.table({"x": array})), "arrow", arrow_as="numpy", piece=999_983)["type"]
        == "imported"
    )
    assert rich.ok("int(n.sum())").json == int(array.sum())
    whole = bytearray(arrow(pa.table({"x": [1, 2, 3]})))
    at = whole.index((64).to_bytes(8, "little"), 200) if (64).to_bytes(8, "little") in whole[200:] else None
    for place in range(len(whole) - 8) if at is None else [at]:
        mangled = bytearray(whole)
        mangled[place : place + 8] = (1 << 40).to_bytes(8, "little")
        told = bind(rich, "n", bytes(mangled), "arrow")
        assert told["type"] == "imported" or told["reason"] in ("BAD_FIELD", "TOO_LARGE"), told
    assert rich.ok("1 + 1").json == 2


def test_an_end_is_an_end(rich: Interpreter):
    """A stream that was cut off between two batches is refused, and so is one with something after it."""
    whole = arrow(TABLE, 1)
    for data in (whole[:-8], whole + b"\0", whole + whole):
        refused(
            bind(rich, "t", data, "arrow"),
            "BAD_FIELD",
            "end of the Arrow" if len(data) > len(whole) else "no end",
        )
    assert bind(rich, "t", arrow(TABLE.schema.empty_table()), "arrow")["type"] == "imported"


def test_what_an_array_cannot_hold_is_refused(rich: Interpreter):
    """Several columns, and nulls in integers."""
    for table, text in (
        (TABLE, "one column"),
        (pa.table({"a": [1, None]}), "nulls"),
        (pa.table({"a": [True, None]}), "nulls"),
    ):
        refused(bind(rich, "n", arrow(table), "arrow", arrow_as="numpy"), "BAD_FIELD", text)


def test_strings_that_are_no_utf8_are_refused(rich: Interpreter):
    """Although nothing would fail before somebody looks."""
    array = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
    )
    refused(bind(rich, "t", arrow(pa.table({"a": array})), "arrow"), "BAD_FIELD")
    data = arrow(pa.table({"a": ["ab" * 50]}))
    at = data.index((100).to_bytes(4, "little") + bytes(4))  # where the string ends, after where it begins
    mangled = data[:at] + (1 << 30).to_bytes(4, "little") + data[at + 4 :]
    refused(bind(rich, "t", mangled, "arrow"), "BAD_FIELD")


def test_where_there_is_no_pyarrow_it_is_said(start: Callable[..., Interpreter]):
    """And where there is no pandas."""
    interpreter = start()
    interpreter.ok("import sys; sys.modules['pyarrow'] = None; x = 1")
    refused(bind(interpreter, "x", arrow(TABLE), "arrow"), "FORMAT_UNAVAILABLE", "PyArrow")
    interpreter.ok("del sys.modules['pyarrow']; sys.modules['pandas'] = None")
    refused(bind(interpreter, "x", arrow(TABLE), "arrow", arrow_as="pandas"), "FORMAT_UNAVAILABLE", "pandas")
    assert interpreter.ok("x").json == 1
