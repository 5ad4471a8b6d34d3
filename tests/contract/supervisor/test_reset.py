"""Reset: a pristine interpreter, whatever was going on."""

from __future__ import annotations

import asyncio

from sandbank.v1.execution_pb2 import Operation
from sandbank_runner.v1 import runner_pb2 as pb

from tests.fakes.control_plane import Connection

FILL = "import os\nos.makedirs('d/e')\nopen('d/e/f', 'w').write('x')\nopen('g', 'w').close()\nx = 1"
LOOK = "import os\n[sorted(os.listdir('.')), 'x' in globals()]"


async def test_a_reset_forgets_variables_and_files(session: Connection):
    """The workspace is emptied, the count begins anew, and it is no replacement to be told of."""
    await session.run("a", FILL)
    assert not (await session.ask(reset=pb.Reset())).HasField("failure")
    operation = await session.run("b", LOOK)
    assert operation.result["application/json"] == b"[[],false]"
    assert operation.execution_count == 1
    assert session.all_told("interpreter_replaced") == []
    reply = await session.ask(get_operation=pb.GetOperation(operation_id="a"))
    assert Operation.FromString(reply.operation).outcome == Operation.OUTCOME_COMMITTED


async def test_a_reset_may_keep_the_files(session: Connection):
    """keep_files leaves the workspace as it is."""
    await session.run("a", FILL)
    await session.ask(reset=pb.Reset(keep_files=True))
    assert (await session.run("b", LOOK)).result["application/json"] == b'[["d","g"],false]'


async def test_a_reset_cancels_what_runs_and_what_waits(session: Connection):
    """The running operation: CANCELLED, ROLLED_BACK at once, however busy; queued ones: NOT_STARTED; later ones run."""
    session.submit("a", "print('go', flush=True)\nsum(range(10**12))")
    session.submit("b", "1")
    await session.until("a", "output")
    session.send(1000, reset=pb.Reset())
    session.submit("c", "'later'")
    a, b, c = [await session.finished(name) for name in ("a", "b", "c")]
    assert (a.state, a.outcome) == (Operation.STATE_CANCELLED, Operation.OUTCOME_ROLLED_BACK)
    assert "reset" in a.error.message
    assert a.usage.wall_time.ToNanoseconds() < 2e9
    assert (b.state, b.outcome) == (Operation.STATE_CANCELLED, Operation.OUTCOME_NOT_STARTED)
    assert c.state == Operation.STATE_SUCCEEDED
    assert session.all_told("interpreter_replaced") == []


async def test_resets_on_top_of_each_other_all_end(session: Connection):
    """Each is answered, and the sandbox works on."""
    for number in range(5):
        session.send(1000 + number, reset=pb.Reset(keep_files=bool(number % 2)))
    answered = 0
    async with asyncio.timeout(20):
        while answered < 5:
            answered += (await session.take()).reply.request_id >= 1000
    assert (await session.run("a", "1")).state == Operation.STATE_SUCCEEDED


async def test_a_reset_gives_the_environment_again(session: Connection):
    """And what user code did to it is gone."""
    await session.run("a", "import os\nos.environ['HOME'] = '/nowhere'")
    await session.ask(reset=pb.Reset())
    assert b"nowhere" not in (await session.run("b", "import os\nos.environ['HOME']")).result["text/plain"]


async def test_a_reset_ends_what_user_code_started(session: Connection):
    """Threads die with the interpreter, processes are swept: neither writes any more."""
    await session.run("a", "import os\nif os.fork() == 0:\n    while True: os.write(1, b'x')\nNone")
    await session.ask(reset=pb.Reset())
    told = len(session.all_told("background"))
    await session.run("b", "1")
    assert len(session.all_told("background")) == told
