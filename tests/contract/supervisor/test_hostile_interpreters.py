"""Interpreters that break every rule: the supervisor drops what they say, and ends them in time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sandbank.v1.execution_pb2 import Operation
from sandbank.v1.transaction_pb2 import ISOLATION_NAMESPACE
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import seconds


async def test_a_forked_process_cannot_speak_for_the_interpreter(start: Start):
    """Only packets of the interpreter's own process count, by the kernel's word."""
    async with start("Forger") as sandbox:
        session = await sandbox.session()
        operation = await session.run("a", "")
    assert dict(operation.result) == {"x/0": b"true"}
    assert [event.WhichOneof("event") for event in session.events["a"]] == ["started", "finished"]


async def test_garbage_on_the_channel_is_dropped_and_the_truth_is_heard(start: Start):
    """No malformed packet, header or field ends the supervisor or the operation."""
    async with start("GarbageSpeaker") as sandbox:
        session = await sandbox.session()
        for number in range(3):
            operation = await session.run(f"o{number}", "")
            assert dict(operation.result) == {"x/0": b"true"}
            assert operation.state == Operation.STATE_SUCCEEDED
            assert [event.WhichOneof("event") for event in session.events[f"o{number}"]] == [
                "started",
                "finished",
            ]


async def test_endless_displays_are_bounded_and_counted(start: Start):
    """8 MiB of displays are kept for one operation; the rest is dropped and counted, and the timeout still comes."""
    async with start("Babbler") as sandbox:
        session = await sandbox.session()
        before = sandbox.memory_bytes()
        operation = await session.run("a", "", timeout=1.0)
        assert sandbox.memory_bytes() - before < 60 << 20
    displays = [event for event in session.events["a"] if event.WhichOneof("event") == "display"]
    assert 160 <= len(displays) <= 167
    assert operation.state == Operation.STATE_TIMED_OUT
    assert operation.outcome == Operation.OUTCOME_PARTIAL
    assert operation.dropped_output_bytes >= 100_000


async def test_endless_pieces_of_output_are_bounded_and_counted(start: Start):
    """What an interpreter tells of is held to the operation's bound, whatever its size; what is none is dropped."""
    async with start("Chatterbox") as sandbox:
        session = await sandbox.session(interrupt_grace=seconds(0.3))
        before = sandbox.memory_bytes()
        bounds = {"timeout": 0.5, "max_output_bytes": 100, "isolation": ISOLATION_NAMESPACE}
        operation = await session.run("a", "", **bounds)
        assert sandbox.memory_bytes() - before < 60 << 20
        assert operation.state == Operation.STATE_TIMED_OUT
        assert (session.output("a"), operation.output_bytes) == (b"x" * 100, 100)
        assert operation.dropped_output_bytes > 0
        alone = await session.run("b", "", timeout=0.2)
        assert (alone.output_bytes, alone.dropped_output_bytes) == (0, 0)  # the pipes are for that
        assert "another" not in session.events


@pytest.mark.parametrize("saboteur", ["Sleeper", "Swallower"])
async def test_what_does_not_react_to_the_interrupt_is_killed(start: Start, saboteur: str):
    """After the grace the interpreter is killed: TIMED_OUT, ROLLED_BACK, and the next operation runs in a fresh one."""
    async with start(saboteur) as sandbox:
        session = await sandbox.session(interrupt_grace=seconds(0.3))
        for number in (1, 2):
            operation = await session.run(f"o{number}", "", timeout=0.2)
            assert (operation.state, operation.outcome) == (
                Operation.STATE_TIMED_OUT,
                Operation.OUTCOME_ROLLED_BACK,
            )
            assert operation.error.type_name == "OperationTimedOut"
            assert 0.45 <= operation.usage.wall_time.ToNanoseconds() / 1e9 < 5
        replaced = session.all_told("interpreter_replaced")
        assert [(each.operation_id, each.reason, each.number) for each in replaced] == [
            ("o1", "timeout", 1),
            ("o2", "timeout", 2),
        ]


async def test_a_flood_of_output_is_drained_bounded_and_counted(start: Start):
    """200 MB on both pipes: 8 MiB are kept, the rest counted, and the supervisor's memory stays bounded."""
    async with start("Flooder") as sandbox:
        session = await sandbox.session()
        before = sandbox.memory_bytes()
        operation = await session.run("a", "200")
        assert sandbox.memory_bytes() - before < 60 << 20
    assert operation.state == Operation.STATE_SUCCEEDED
    assert operation.output_bytes == 8 << 20
    assert operation.output_bytes + operation.dropped_output_bytes == 200 << 20
    assert len(session.output("a")) + len(session.output("a", 2)) == 8 << 20


async def test_a_result_beyond_a_message_is_dropped_and_counted(start: Start):
    """The largest representation goes, the others stay."""
    async with start("Giant") as sandbox:
        session = await sandbox.session()
        operation = await session.run("a", "16")
        assert dict(operation.result) == {"x/1": b"small"}
        assert operation.dropped_output_bytes == 16 << 20
        operation = await session.run("b", "14")
        assert len(operation.result["x/0"]) == 14 << 20


async def test_numbers_and_texts_are_brought_into_bounds(start: Start):
    """Lone surrogates are escaped, numbers clipped, texts cut; an interrupt that nobody sent is no excuse."""
    async with start("Liar") as sandbox:
        session = await sandbox.session()
        operation = await session.run("a", "")
    assert (operation.state, operation.outcome) == (Operation.STATE_FAILED, Operation.OUTCOME_PARTIAL)
    assert operation.error.type_name == "\\ud800" * 256
    assert len(operation.error.message) == 256 * 1024
    assert operation.error.traceback_text == "\\udcff"
    assert len(operation.error.frames) == 200
    assert operation.error.frames[0].line_number == 2**31 - 1
    assert (operation.error.syntax_error.line, operation.error.syntax_error.end_column) == (0, 2**31 - 1)
    assert operation.usage.cpu_time.ToNanoseconds() == 0
    assert operation.usage.peak_memory_bytes == 0


async def test_what_is_said_after_the_end_belongs_to_no_operation(start: Start):
    """A second end and late displays are dropped, also while the next operation runs."""
    async with start("Talkative") as sandbox:
        session = await sandbox.session()
        for number in range(20):
            session.submit(f"o{number}", "")
        for number in range(20):
            operation = await session.finished(f"o{number}")
            assert dict(operation.result) == {"x/0": b"first"}
            assert len(session.events[f"o{number}"]) == 2


async def test_processes_that_outlive_the_interpreter_hang_nothing(start: Start):
    """What holds the pipes and the channel and writes without an end is swept before the operation ends."""
    async with start("Haunted") as sandbox:
        session = await sandbox.session()
        for number in range(3):
            operation = await session.run(f"o{number}", "")
            assert (operation.state, operation.outcome) == (
                Operation.STATE_CRASHED,
                Operation.OUTCOME_ROLLED_BACK,
            )
            assert "exited with code 3" in operation.error.message
        await session.ask(ping=pb.Ping())
        assert _children(sandbox.process.pid) <= 2


async def test_a_crash_loop_ends_the_sandbox(start: Start):
    """Interpreters that die before they are ready are tried a few times, with pauses; then the sandbox gives up."""
    async with start("Stillborn", listening=False) as sandbox:
        assert await sandbox.exit_code() == 71
    assert "6 interpreters in a row died" in sandbox.errors.read_text()
    assert "exited with code 9" in sandbox.errors.read_text()


async def test_dying_of_the_environment_ends_the_sandbox(start: Start):
    """The environment is part of the start: who cannot take it is not alive."""
    async with start("Fragile") as sandbox:
        await sandbox.session(env={"A": "1"})
        assert await sandbox.exit_code() == 71


def _children(pid: int) -> int:
    """Count the living children: one that only waits to be reaped hangs nothing."""
    return sum(
        _lives(child)
        for task in os.listdir(f"/proc/{pid}/task")
        for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()
    )


def _lives(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
