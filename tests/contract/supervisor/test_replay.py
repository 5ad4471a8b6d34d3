"""The journal seen from outside: no event lost, none twice, whoever was away and for how long."""

from __future__ import annotations

import random

import pytest
from sandbank.v1.execution_pb2 import Operation, OperationEvent
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Connection, seconds

TALK = "import time\nfor n in range(400):\n    print(n, flush=True)\n    time.sleep(0.002)"


async def fetch_all(control: Connection, operation_id: str, after: int, up_to: int) -> list[OperationEvent]:
    """Fetch by small pages the events beyond ``after`` up to ``up_to``."""
    events: list[OperationEvent] = []
    while after < up_to:
        fetch = pb.Fetch(operation_id=operation_id, after_sequence=after, max_bytes=500)
        page = (await control.ask(fetch=fetch)).page
        assert page.first_sequence == after + 1
        events += [OperationEvent.FromString(event) for event in page.events]
        after += len(page.events)
    return [event for event in events if event.sequence <= up_to]


async def test_a_control_plane_that_comes_and_goes_misses_nothing(start: Start):
    """Hello tells up to which event there is something to fetch; everything after it is pushed. Each exactly once."""
    async with start() as sandbox:
        session = await sandbox.session()
        session.submit("a", TALK)
        await session.until("a", "output")
        seen = list(session.events["a"])
        chance = random.Random(4)
        for _ in range(6):
            await session.close()
            session = await sandbox.connect()
            (known,) = session.hello.operations
            seen += await fetch_all(session, "a", seen[-1].sequence, known.last_sequence)
            for _ in range(chance.randrange(6)):
                if not known.finished and seen[-1].WhichOneof("event") != "finished":
                    await session.take()
            seen += [event for event in session.events.get("a", []) if event.sequence > seen[-1].sequence]
        if seen[-1].WhichOneof("event") != "finished":
            await session.finished("a")
            seen += [event for event in session.events["a"] if event.sequence > seen[-1].sequence]
    assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
    assert seen[-1].WhichOneof("event") == "finished"
    assert b"".join(event.output.data for event in seen) == b"".join(b"%d\n" % n for n in range(400))


async def test_what_happens_between_greeting_and_opening_is_pushed(start: Start):
    """Hello tells up to which event; all after it are pushed, those of new operations among them."""
    async with start() as sandbox:
        older = await sandbox.session()
        await older.run("a", "1")
        newer = await sandbox.connect(greet=False)
        await older.run("b", "1 / 0")
        older.submit("d", "print('go', flush=True)\nimport time\ntime.sleep(0.5)\nprint('on')")
        await older.until("d", "output")
        newer.send(open=pb.Open(protocol_version=1, purpose=pb.PURPOSE_CONTROL))
        await newer.finished("d")
        assert newer.events.keys() == {"b", "d"}
        for name, events in newer.events.items():
            assert [event.sequence for event in events] == list(range(1, len(events) + 1)), name
        assert newer.events["b"] == older.events["b"]
        assert newer.output("d") == b"go\non\n"


@pytest.mark.parametrize("what", ["a replacement", "a transaction"])
async def test_what_changes_outcomes_between_greeting_and_opening_takes_another_greeting(
    start: Start, what: str
):
    """Beside the ends of operations it could not be told in its order."""
    async with start() as sandbox:
        older = await sandbox.session()
        newer = await sandbox.connect(greet=False)
        if what == "a replacement":
            await older.run("b", "import os\nos._exit(3)")
        else:
            begin = pb.BeginTransaction(transaction_id="tx-1", idle_timeout=seconds(60))
            await older.ask(begin_transaction=begin)
        newer.send(open=pb.Open(protocol_version=1, purpose=pb.PURPOSE_CONTROL))
        with pytest.raises(EOFError):
            await newer.take()
        third = await sandbox.connect()
        told = third.hello.replacements if what == "a replacement" else third.hello.transactions
        assert [each.number for each in told] == [1]


async def test_an_operation_goes_on_while_nobody_listens(start: Start):
    """It ends in the journal, and Fetch gives all of it, with Finished as it was."""
    async with start() as sandbox:
        session = await sandbox.session()
        session.submit("a", "import time\ntime.sleep(0.3)\nprint('alone')\n7")
        await session.until("a", "started")
        await session.close()
        while True:
            session = await sandbox.connect()
            (known,) = session.hello.operations
            if known.finished:
                break
            await session.close()
        events = await fetch_all(session, "a", 0, known.last_sequence)
        assert [event.WhichOneof("event") for event in events] == ["started", "output", "finished"]
        assert events[-1].finished.operation.result["text/plain"] == b"7"
        page = (await session.ask(fetch=pb.Fetch(operation_id="a", after_sequence=2))).page
        assert (page.first_sequence, page.finished, page.first_kept_sequence) == (3, True, 1)
        page = (await session.ask(fetch=pb.Fetch(operation_id="a", after_sequence=3))).page
        assert (list(page.events), page.finished) == ([], False)


async def test_the_journal_forgets_the_oldest_events_first(start: Start):
    """Over its bytes: what is gone is told by first_kept_sequence; what an operation came to is remembered."""
    async with start() as sandbox:
        session = await sandbox.session(journal_bytes=300_000)
        await session.run("a", "print('x' * 200_000)\n'result'")
        await session.run("b", "print('x' * 200_000)")
        page = (await session.ask(fetch=pb.Fetch(operation_id="a"))).page
        assert page.first_kept_sequence > 1
        await session.run("c", "print('x' * 290_000)")
        page = (await session.ask(fetch=pb.Fetch(operation_id="a"))).page
        assert (list(page.events), page.finished) == ([], False)
        assert page.first_kept_sequence == session.events["a"][-1].sequence + 1
        operation = Operation.FromString(
            (await session.ask(get_operation=pb.GetOperation(operation_id="a"))).operation
        )
        assert (operation.state, operation.outcome) == (
            Operation.STATE_SUCCEEDED,
            Operation.OUTCOME_COMMITTED,
        )
        assert operation.execution_count == 1
        session.submit("a", "print('again')")
        assert (await session.run("d", "1")).execution_count == 4
        again = await sandbox.connect()
        assert "a" not in [each.operation_id for each in again.hello.operations]


async def test_the_journal_keeps_so_many_operations(start: Start):
    """Over its count the oldest that has ended goes; its id is known long after."""
    async with start() as sandbox:
        session = await sandbox.session(journal_operations=5)
        for number in range(20):
            await session.run(f"o{number}", str(number))
        again = await sandbox.connect()
        assert [each.operation_id for each in again.hello.operations] == [
            f"o{number}" for number in range(15, 20)
        ]
        assert again.hello.execution_count == 20
        await again.ask(cancel=pb.Cancel(operation_id="o0"))
        again.submit("o0", "1/0")
        assert (await again.run("last", "1")).execution_count == 21


async def test_a_control_plane_that_does_not_read_is_hung_up_on(start: Start):
    """What waits for it is bounded; the operations go on, and who dials again finds all of it in the journal."""
    async with start() as sandbox:
        session = await sandbox.session()
        session.writer.transport.pause_reading()
        before = sandbox.memory_bytes()
        for number in range(8):
            session.submit(f"o{number}", "import os\nfor _ in range(128): os.write(1, b'x' * 65536)")
        while True:
            again = await sandbox.connect(greet=False)
            await again.close()
            if len(again.hello.operations) == 8 and all(each.finished for each in again.hello.operations):
                break
        # The journal holds up to 64 MiB, what waits for the control plane is the same bytes, and 32 MiB at most.
        assert sandbox.memory_bytes() - before < 160 << 20
        again = await sandbox.connect()
        output = 0
        for each in again.hello.operations:
            events = await fetch_all_large(again, each)
            output += sum(len(event.output.data) for event in events)
            assert events[-1].WhichOneof("event") == "finished"
        assert output > 50 << 20


async def test_endless_prints_end_in_time_although_nobody_reads(start: Start):
    """The timeout comes, the memory stays bounded, and the journal has what was kept."""
    async with start() as sandbox:
        session = await sandbox.session()
        session.writer.transport.pause_reading()
        before = sandbox.memory_bytes()
        session.submit("a", "while True: print('x')", timeout=1.0)
        session.submit("b", "7")
        while True:
            again = await sandbox.connect(greet=False)
            await again.close()
            if [each.finished for each in again.hello.operations] == [True, True]:
                break
        assert sandbox.memory_bytes() - before < 60 << 20
        again = await sandbox.connect()
        events = await fetch_all_large(again, again.hello.operations[0])
        operation = events[-1].finished.operation
        assert (operation.state, operation.outcome) == (Operation.STATE_TIMED_OUT, Operation.OUTCOME_PARTIAL)
        assert sum(len(event.output.data) for event in events) == operation.output_bytes
        assert len(events) < 1000


async def fetch_all_large(control: Connection, summary: pb.OperationSummary) -> list[OperationEvent]:
    """Fetch what is kept of an operation."""
    after = summary.first_kept_sequence - 1
    events: list[OperationEvent] = []
    while after < summary.last_sequence:
        page = (
            await control.ask(fetch=pb.Fetch(operation_id=summary.operation_id, after_sequence=after))
        ).page
        assert page.first_sequence == after + 1
        events += [OperationEvent.FromString(event) for event in page.events]
        after += len(page.events)
    return events
