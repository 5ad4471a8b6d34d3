"""Snapshots that lie: the supervisor harms nobody for it, says what it could not do, and goes on."""

from __future__ import annotations

import pytest
from sandbank.v1.execution_pb2 import Operation
from sandbank.v1.transaction_pb2 import TX_POLICY_ROLLBACK_ON_FAILURE
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import seconds

ATOMIC = {"tx_policy": TX_POLICY_ROLLBACK_ON_FAILURE}


@pytest.mark.parametrize("saboteur", ["PidThief", "OwnSnapshot", "WrongNumber", "Honest"])
async def test_a_snapshot_that_is_none_is_refused(start: Start, saboteur: str):
    """No process is signalled on an interpreter's word: the template lives, and what needs no snapshot works."""
    async with start(saboteur) as sandbox:
        session = await sandbox.session(quiet_time=seconds(600))
        for number in range(3):
            operation = await session.run(f"o{number}", "x = 1")
            assert operation.outcome == Operation.OUTCOME_COMMITTED
            refused = await session.run(f"p{number}", "x = 2", **ATOMIC)
            assert (refused.outcome, refused.error.type_name) == (
                Operation.OUTCOME_NOT_STARTED,
                "SnapshotGone",
            )
        begin = pb.BeginTransaction(transaction_id="t", idle_timeout=seconds(60))
        assert (await session.ask(begin_transaction=begin)).failure.reason == "SNAPSHOT_GONE"
        assert session.all_told("interpreter_replaced") == []
        await session.ask(reset=pb.Reset())
        assert (await session.run("after", "x = 3")).outcome == Operation.OUTCOME_COMMITTED


async def test_a_snapshot_that_dies_waking_is_passed_over(start: Start):
    """The next older one takes over; what else that costs is told."""
    async with start("DiesWaking") as sandbox:
        session = await sandbox.session(quiet_time=seconds(600), snapshot_history=2)
        await session.run("a", "x = [1]")
        await session.run("b", "x.append(2)")  # before it: snapshot 1
        await session.run("c", "x.append(3)")  # before it: snapshot 2, of b
        failed = await session.run("d", "1 / 0", **ATOMIC)  # before it: snapshot 3, which dies
        assert (failed.state, failed.outcome) == (Operation.STATE_FAILED, Operation.OUTCOME_ROLLED_BACK)
        assert [warning.code for warning in failed.warnings] == ["SNAPSHOT_GONE"]
        (replaced,) = session.all_told("interpreter_replaced")
        assert (replaced.restored_operation_id, list(replaced.lost_operation_ids)) == ("b", ["c"])
        assert replaced.state_lost is False
        await session.run("e", "print(x, flush=True)")
        assert session.output("e") == b"[1, 2]\n"


async def test_what_sleepers_say_is_not_believed(start: Start):
    """Ends and displays of operations, forged awakenings, garbage: dropped; the rollback is a rollback."""
    async with start("TalksInItsSleep") as sandbox:
        session = await sandbox.session(quiet_time=seconds(600))
        await session.run("a", "x = [1]")
        failed = await session.run("b", "x.append(2); print('b', flush=True); 1 / 0", **ATOMIC)
        assert (failed.state, failed.outcome) == (Operation.STATE_FAILED, Operation.OUTCOME_ROLLED_BACK)
        assert [event.WhichOneof("event") for event in session.events["b"]] == [
            "started",
            "output",
            "finished",
        ]
        assert list(failed.warnings) == []
        done = await session.run("c", "print(x, flush=True)")
        assert (done.state, dict(done.result)) == (Operation.STATE_SUCCEEDED, {})
        assert session.output("c") == b"[1]\n"


async def test_warnings_are_brought_into_bounds(start: Start):
    """Their number, their texts and their names."""
    async with start("Verbose") as sandbox:
        session = await sandbox.session(quiet_time=seconds(600))
        failed = await session.run("b", "1 / 0", **ATOMIC)
        assert failed.outcome == Operation.OUTCOME_ROLLED_BACK
        assert len(failed.warnings) == 65
        assert len(failed.SerializeToString()) < 15 << 20
        files = failed.warnings[64]
        assert (files.code, len(files.names)) == ("FILES_NOT_ROLLED_BACK", 256)
