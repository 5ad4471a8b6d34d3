"""Timeouts and cancels: whatever the code does, it ends, and nobody else is hit."""

from __future__ import annotations

import pytest
from sandbank.v1.execution_pb2 import Operation
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Connection, seconds

ENDLESS = "import time\nprint('go', flush=True)\nwhile True: time.sleep(0.01)"


async def cancel(session: Connection, operation_id: str) -> Operation:
    """Cancel and return the operation as the reply shows it."""
    return Operation.FromString((await session.ask(cancel=pb.Cancel(operation_id=operation_id))).operation)


async def test_a_running_operation_is_cancelled_softly(session: Connection):
    """The interrupt works: CANCELLED, PARTIAL, what ran before stays, the user's own frames tell where."""
    session.submit("a", f"x = 1\n{ENDLESS}")
    await session.until("a", "output")
    assert (await cancel(session, "a")).state == Operation.STATE_RUNNING
    operation = await session.finished("a")
    assert (operation.state, operation.outcome) == (Operation.STATE_CANCELLED, Operation.OUTCOME_PARTIAL)
    assert (operation.error.type_name, operation.error.message) == ("KeyboardInterrupt", "cancelled")
    last = operation.error.frames[-1]  # what was heard may have been written by a line that had not ended
    assert (
        last.source_line == ["print('go', flush=True)", "while True: time.sleep(0.01)"][last.line_number - 3]
    )
    assert (await session.run("b", "x")).result["text/plain"] == b"1"
    assert session.all_told("interpreter_replaced") == []


async def test_a_queued_operation_is_cancelled_without_running(session: Connection):
    """CANCELLED, NOT_STARTED, one event; its neighbours run."""
    session.submit("a", ENDLESS)
    session.submit("b", "b = 1")
    session.submit("c", "'b' in globals()")
    await session.until("a", "output")
    operation = await cancel(session, "b")
    assert (operation.state, operation.outcome) == (Operation.STATE_CANCELLED, Operation.OUTCOME_NOT_STARTED)
    assert [event.WhichOneof("event") for event in session.events["b"]] == ["finished"]
    await cancel(session, "a")
    assert (await session.finished("c")).result["text/plain"] == b"False"


async def test_cancelling_what_has_finished_returns_it(session: Connection):
    """No error and no effect."""
    done = await session.run("a", "1")
    assert await cancel(session, "a") == done
    assert (await session.run("b", "2")).state == Operation.STATE_SUCCEEDED


async def test_a_cancel_that_comes_at_once_is_not_lost(session: Connection):
    """Sent right behind Submit, before the code has begun, it still ends the operation softly."""
    for number in range(50):
        session.submit(f"o{number}", "import time\ntime.sleep(600)")
        await cancel(session, f"o{number}")
        operation = await session.finished(f"o{number}")
        assert (operation.state, operation.outcome) == (Operation.STATE_CANCELLED, Operation.OUTCOME_PARTIAL)
    assert session.all_told("interpreter_replaced") == []


async def test_a_late_cancel_never_hits_the_next_operation(session: Connection):
    """However it falls, cancelling one operation leaves its successor alone."""
    cancelled = 0
    for number in range(300):
        session.submit(f"a{number}", "sum(range(2000))")
        session.submit(f"b{number}", "sum(range(20000))")
        session.send(cancel=pb.Cancel(operation_id=f"a{number}"))
        cancelled += (await session.finished(f"a{number}")).state == Operation.STATE_CANCELLED
        assert (await session.finished(f"b{number}")).state == Operation.STATE_SUCCEEDED
    assert session.all_told("interpreter_replaced") == []


async def test_a_timeout_interrupts_softly(session: Connection):
    """TIMED_OUT, PARTIAL, at about its time."""
    operation = await session.run("a", f"x = 1\n{ENDLESS}", timeout=0.3)
    assert (operation.state, operation.outcome) == (Operation.STATE_TIMED_OUT, Operation.OUTCOME_PARTIAL)
    assert operation.error.message == "timed out after 0.3 s"
    assert 0.3 <= operation.usage.wall_time.ToNanoseconds() / 1e9 < 2
    assert (await session.run("b", "x")).result["text/plain"] == b"1"


WELL_IN = """
import os, time
if os.fork() == 0:
    time.sleep(0.1)  # by now the parent is deep in what it does
    os.write(1, b"go")
    os._exit(0)
"""

HARD = {
    "a loop in C": "sum(range(10**12))",
    "a swallowed KeyboardInterrupt": (
        "import time\nwhile True:\n    try:\n        time.sleep(600)\n    except KeyboardInterrupt: pass"
    ),
    "blocked signals": (
        "import signal\nsignal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())\nwhile True: signal.pause()"
    ),
    "another handler": "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
}


@pytest.mark.parametrize("stop", ["timeout", "cancel"])
@pytest.mark.parametrize("code", HARD.values(), ids=HARD)
async def test_what_resists_is_killed_after_the_grace(start: Start, code: str, stop: str):
    """ROLLED_BACK with the state; earlier operations are LOST; the replacement is told before Finished."""
    async with start() as sandbox:
        session = await sandbox.session(interrupt_grace=seconds(0.2))
        await session.run("before", "x = 1")
        session.submit("a", f"{WELL_IN}{code}", timeout=0.2 if stop == "timeout" else 60)
        if stop == "cancel":
            await session.until("a", "output")
            await cancel(session, "a")
        operation = await session.finished("a")
        state = Operation.STATE_TIMED_OUT if stop == "timeout" else Operation.STATE_CANCELLED
        assert (operation.state, operation.outcome) == (state, Operation.OUTCOME_ROLLED_BACK)
        (replaced,) = session.all_told("interpreter_replaced")
        assert (replaced.operation_id, replaced.reason, replaced.state_lost) == ("a", stop, True)
        order = [message.WhichOneof("message") for message in session.told]
        assert order.index("interpreter_replaced") == len(order) - 2
        lost = Operation.FromString(
            (await session.ask(get_operation=pb.GetOperation(operation_id="before"))).operation
        )
        assert lost.outcome == Operation.OUTCOME_LOST
        operation = await session.run("b", "'x' in globals()")
        assert (operation.result["text/plain"], operation.execution_count) == (b"False", 3)
        again = await sandbox.connect()
        assert [(each.operation_id, each.effects_lost) for each in again.hello.operations] == [
            ("before", True),
            ("a", False),
            ("b", False),
        ]
        assert again.hello.last_replaced == replaced


async def test_the_first_reason_to_stop_counts(start: Start):
    """A cancel during the grace of a timeout leaves it a timeout."""
    async with start() as sandbox:
        session = await sandbox.session(interrupt_grace=seconds(0.5))
        session.submit(
            "a", HARD["a swallowed KeyboardInterrupt"].replace("pass", "print('ouch')"), timeout=0.2
        )
        await session.until("a", "output")
        await cancel(session, "a")
        assert (await session.finished("a")).state == Operation.STATE_TIMED_OUT


async def test_what_finishes_although_it_was_cancelled_has_succeeded(session: Connection):
    """An interrupt that is swallowed takes nothing away: the effects are there."""
    session.submit(
        "a", f"try:\n    {ENDLESS.replace(chr(10), chr(10) + '    ')}\nexcept KeyboardInterrupt: x = 2\nx"
    )
    await session.until("a", "output")
    await cancel(session, "a")
    operation = await session.finished("a")
    assert (operation.state, operation.outcome) == (Operation.STATE_SUCCEEDED, Operation.OUTCOME_COMMITTED)
    assert operation.result["text/plain"] == b"2"


async def test_user_code_that_stops_itself_has_failed(session: Connection):
    """A KeyboardInterrupt of the code's own is an error like any other."""
    operation = await session.run("a", "raise KeyboardInterrupt")
    assert (operation.state, operation.outcome) == (Operation.STATE_FAILED, Operation.OUTCOME_PARTIAL)
