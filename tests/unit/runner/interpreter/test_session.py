"""What the interpreter says to the supervisor, and when."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from sandbank_runner.channel import MESSAGE_BYTES, PACKET_BYTES, Assembler, Packet, encode
from sandbank_runner.interpreter.link import packets_of

from tests.unit.runner.interpreter.harness import Interpreter


def test_ready_comes_first(start: Callable[..., Interpreter]) -> None:
    """With its pid and the walls that are missing."""
    interpreter = start(missing_walls=["landlock"])
    assert interpreter.ready.header == {
        "type": "ready",
        "pid": interpreter.pid,
        "missing_walls": ["landlock"],
    }
    assert interpreter.ready.pid == interpreter.pid


def test_setup_sets_the_environment(interpreter: Interpreter) -> None:
    """Of this process and its children; what cannot be set is refused by name."""
    environment = {"A_NAME": "ä value", "TZ": "Asia/Tokyo", "NULL": "a\0b", "": "empty", "E=Q": "x"}
    interpreter.send({"type": "setup", "env": environment})
    answer = interpreter.receive("setup_done").header
    assert set(answer["refused"]) == {"NULL", "", "E=Q"}
    assert interpreter.ok("import os\nos.environ['A_NAME']").text == "'ä value'"
    assert interpreter.ok("os.system('echo $A_NAME')").stdout == "ä value\n"
    assert interpreter.ok("import time\ntime.strftime('%Z')").text == "'JST'"


def test_unknown_messages_are_passed_over(interpreter: Interpreter) -> None:
    """A newer supervisor may say more."""
    interpreter.send({"type": "of a later version", "x": 1}, b"blob")
    assert interpreter.ok("1").text == "1"


def test_done_has_all_its_fields(interpreter: Interpreter) -> None:
    """Exactly the contract's."""
    done = interpreter.ok("5")
    assert set(done.header) == {
        "type", "operation", "ok", "mime", "error", "interrupted", "cpu_seconds", "peak_memory_bytes",
        "files", "files_truncated", "changes", "changes_truncated", "warnings",
    }  # fmt: skip
    assert (done.header["ok"], done.header["error"], done.header["interrupted"]) == (True, None, False)
    assert done.header["peak_memory_bytes"] > 1_000_000
    error = interpreter.run("1/0").error
    assert set(error) == {"type_name", "message", "traceback_text", "frames", "syntax_error"}
    assert set(error["frames"][0]) == {"file_name", "line_number", "function_name", "source_line"}
    detail = interpreter.run("x = = 1").error["syntax_error"]
    assert set(detail) == {"line", "column", "end_line", "end_column", "text"}


def test_the_workspace_may_vanish(interpreter: Interpreter) -> None:
    """An operation in a directory that is gone runs all the same."""
    os.rmdir(interpreter.workspace)
    assert interpreter.ok("1").text == "1"
    assert interpreter.run("1/0").error["type_name"] == "ZeroDivisionError"


@pytest.mark.parametrize(
    "size", [0, 1, PACKET_BYTES - 50, PACKET_BYTES, PACKET_BYTES + 1, 5 * PACKET_BYTES, 9_999_999]
)
def test_its_packets_are_those_of_the_channel(size: int) -> None:
    """The two spellings of the framing agree, byte for byte."""
    header = {"type": "x", "text": 'ä\ud800"\\', "number": 1.5, "none": None, "list": [True, {"a": 1}]}
    blobs = (b"x" * size, b"", b"y")
    packets = packets_of(dict(header), blobs)
    assert packets == encode(dict(header), blobs)
    assembler = Assembler()
    messages = [assembler.add(Packet(packet[1:], packet[:1] == b"\x01", -1, -1)) for packet in packets]
    assert messages[-1] is not None
    assert (messages[-1].header, messages[-1].blobs) == (header, blobs)


def test_a_message_beyond_the_bound_is_refused() -> None:
    """Before anything of it is sent."""
    with pytest.raises(ValueError, match="message of"):
        packets_of({}, (b"x" * MESSAGE_BYTES,))


def test_large_source_and_results_go_through(interpreter: Interpreter) -> None:
    """Messages of many packets in both directions."""
    done = interpreter.ok("text = '" + "x" * 900_000 + "'\ntext")
    assert len(done.result["text/plain"]) == 900_002
    assert len(done.result["application/json"]) == 900_002
