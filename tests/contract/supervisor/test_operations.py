"""What an operation tells, and what becomes of it."""

from __future__ import annotations

import time

from sandbank.v1.execution_pb2 import Operation
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Connection


def kinds(session: Connection, operation_id: str) -> list[str]:
    """Return the kinds of an operation's events."""
    return [str(event.WhichOneof("event")) for event in session.events[operation_id]]


async def test_an_operation_tells_everything_in_order(session: Connection):
    """Started, Output as written, Finished with all that the API promises; sequences from 1, exactly one Finished."""
    before = time.time_ns()
    operation = await session.run("a", "import os\nprint('out')\nos.write(2, b'\\xff')\n6 * 7")
    after = time.time_ns()
    assert kinds(session, "a")[0] == "started"
    assert kinds(session, "a")[-1] == "finished"
    assert [event.sequence for event in session.events["a"]] == list(range(1, len(session.events["a"]) + 1))
    assert all(event.session_id == "s" and event.operation_id == "a" for event in session.events["a"])
    assert session.output("a") == b"out\n"
    assert session.output("a", 2) == b"\xff"
    assert (operation.session_id, operation.operation_id) == ("s", "a")
    assert (operation.state, operation.outcome) == (Operation.STATE_SUCCEEDED, Operation.OUTCOME_COMMITTED)
    assert operation.execution_count == 1
    assert operation.result["text/plain"] == b"42"
    assert operation.create_time.seconds == 1_700_000_000
    assert before <= operation.start_time.ToNanoseconds() <= operation.end_time.ToNanoseconds() <= after
    assert 0 < operation.usage.wall_time.ToNanoseconds() <= after - before
    assert operation.usage.peak_memory_bytes > 1 << 20
    assert (operation.output_bytes, operation.dropped_output_bytes) == (5, 0)
    assert not operation.HasField("error")


async def test_an_error_is_partial(session: Connection):
    """What ran before the error stays, as in a notebook."""
    operation = await session.run("a", "x = 1\n1/0")
    assert (operation.state, operation.outcome) == (Operation.STATE_FAILED, Operation.OUTCOME_PARTIAL)
    assert operation.error.type_name == "ZeroDivisionError"
    assert (await session.run("b", "x")).result["text/plain"] == b"1"


async def test_leaving_is_an_error_and_ends_nothing(session: Connection):
    """SystemExit is an error with its code; the session goes on."""
    operation = await session.run("a", "x = 1\nimport sys\nsys.exit(3)")
    assert (operation.state, operation.error.type_name) == (Operation.STATE_FAILED, "SystemExit")
    assert (await session.run("b", "x")).state == Operation.STATE_SUCCEEDED


async def test_the_same_id_runs_once(session: Connection):
    """A Submit whose id is known is ignored: queued, running or finished."""
    session.submit("a", "n = globals().get('n', 0) + 1")
    session.submit("a", "n = globals().get('n', 0) + 1")
    await session.finished("a")
    session.submit("a", "n = globals().get('n', 0) + 1")
    assert (await session.run("b", "n")).result["text/plain"] == b"1"
    assert kinds(session, "a") == ["started", "finished"]


async def test_operations_run_one_after_the_other(session: Connection):
    """First in, first out; each has its number."""
    for number in range(50):
        session.submit(f"o{number}", f"{number}")
    for number in range(50):
        operation = await session.finished(f"o{number}")
        assert operation.execution_count == number + 1
        assert operation.result["text/plain"] == b"%d" % number


async def test_a_full_queue_refuses_with_an_event(start: Start):
    """Beyond the limit an operation ends at once: CANCELLED, NOT_STARTED, OperationQueueFull; the others run."""
    async with start() as sandbox:
        session = await sandbox.session(queue_limit=2)
        session.submit("running", "import time\nprint(1, flush=True)\ntime.sleep(600)")
        await session.until("running", "output")
        for name in ("q1", "q2", "over"):
            session.submit(name, "1")
        operation = await session.finished("over")
        assert (operation.state, operation.outcome) == (
            Operation.STATE_CANCELLED,
            Operation.OUTCOME_NOT_STARTED,
        )
        assert operation.error.type_name == "OperationQueueFull"
        assert kinds(session, "over") == ["finished"]
        assert (await session.ask(ping=pb.Ping())).pong.queued_count == 3
        await session.ask(cancel=pb.Cancel(operation_id="running"))
        assert (await session.finished("q2")).state == Operation.STATE_SUCCEEDED


async def test_output_beyond_the_limit_is_counted(session: Connection):
    """max_output_bytes are kept, to the byte; the rest is counted and user code never waits for anybody."""
    operation = await session.run("a", "print('x' * 999)", max_output_bytes=10)
    assert session.output("a") == b"x" * 10
    assert (operation.output_bytes, operation.dropped_output_bytes) == (10, 990)
    operation = await session.run("b", "print('x' * 999)", max_output_bytes=0)
    assert kinds(session, "b") == ["started", "finished"]
    assert (operation.output_bytes, operation.dropped_output_bytes) == (0, 1000)


async def test_a_million_tiny_writes_make_few_events(session: Connection):
    """Output is told at once the first time and then in windows, however small the pieces are."""
    operation = await session.run("a", "import os\nfor _ in range(200_000): os.write(1, b'x')")
    assert session.output("a") == b"x" * 200_000
    wall = operation.usage.wall_time.ToNanoseconds() / 1e9
    assert kinds(session, "a").count("output") <= wall / 0.010 + 200_000 / 65536 + 3


async def test_output_comes_while_the_code_runs(session: Connection):
    """The first output is there before the operation has ended, without anybody flushing for it."""
    session.submit("a", "import os, time\nos.write(1, b'now')\ntime.sleep(600)")
    assert (await session.until("a", "output")).output.data == b"now"
    await session.ask(cancel=pb.Cancel(operation_id="a"))
    await session.finished("a")


async def test_output_of_a_child_process_belongs_to_the_operation(session: Connection):
    """Descriptors are captured, not sys.stdout; and all of it comes before Finished."""
    await session.run("a", "import subprocess\nsubprocess.run(['sh', '-c', 'echo child; echo error >&2'])")
    assert session.output("a") == b"child\n"
    assert session.output("a", 2) == b"error\n"


async def test_what_is_shown_comes_in_its_place(session: Connection):
    """A display stands between what was printed before and after it."""
    await session.run("a", "print('one')\ndisplay('two')\nprint('three')")
    shown = [
        event.output.data if event.WhichOneof("event") == "output" else event.display.data["text/plain"]
        for event in session.events["a"]
        if event.WhichOneof("event") in ("output", "display")
    ]
    assert shown == [b"one\n", b"'two'", b"three\n"]


SPEAK_LATER = """
import os, threading
ready, go = os.pipe()
def speak():
    os.read(ready, 1)
    os.write(1, b"late")
threading.Thread(target=speak).start()
child, wake = os.pipe()
if os.fork() == 0:
    os.close(wake)
    os.read(child, 1)
    os.write(2, b"child")
    os._exit(0)
threading.Timer(0.3, os.write, (go, b".")).start()
threading.Timer(0.6, os.close, (wake,)).start()
"""


async def test_output_after_the_end_is_nobodys(session: Connection):
    """What threads and children write when their operation is over is Background, numbered."""
    await session.run("a", SPEAK_LATER)
    while len(told := session.all_told("background")) < 2:
        await session.take()
    assert [(each.stream, each.data, each.sequence, each.dropped_bytes) for each in told] == [
        (1, b"late", 1, 0),
        (2, b"child", 2, 0),
    ]
    assert session.output("a") == b""


async def test_background_output_is_bounded(session: Connection):
    """1 MiB in a minute is told, at most 64 KiB at once; the rest is dropped and counted."""
    flood = "import os\nif os.fork() == 0:\n    for _ in range(100): os.write(1, b'x' * 65536)\n    os._exit(0)\nNone"
    await session.run("a", flood)
    assert (await session.run("b", "os.wait()\nNone")).state == Operation.STATE_SUCCEEDED
    told = session.all_told("background")
    assert all(len(each.data) <= 65536 for each in told)
    assert sum(len(each.data) for each in told) <= 1 << 20


async def test_get_operation_shows_it_as_it_is(session: Connection):
    """Queued, running and finished."""
    session.submit("a", "import time\nprint(1, flush=True)\ntime.sleep(600)")
    session.submit("b", "2")
    await session.until("a", "output")
    states = []
    for name in ("a", "b"):
        reply = await session.ask(get_operation=pb.GetOperation(operation_id=name))
        states.append(Operation.FromString(reply.operation).state)
    assert states == [Operation.STATE_RUNNING, Operation.STATE_PENDING]
    await session.ask(cancel=pb.Cancel(operation_id="a"))
    await session.finished("b")
    reply = await session.ask(get_operation=pb.GetOperation(operation_id="b"))
    assert Operation.FromString(reply.operation) == session.events["b"][-1].finished.operation


async def test_an_operation_that_comes_with_the_assignment_finds_the_environment(start: Start):
    """However close they come: it waits until the environment is there."""
    for _ in range(5):
        async with start() as sandbox:
            session = await sandbox.connect()
            session.send(assign=pb.Assign(session_id="s", env={"NAME": "value"}))
            operation = await session.run("a", "import os; os.environ['NAME']", timeout=5)
            assert operation.result["text/plain"] == b"'value'"
        (sandbox.directory / "workspace").rmdir()
