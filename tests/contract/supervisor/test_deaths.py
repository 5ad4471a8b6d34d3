"""Interpreters that die: told with their cause, and the sandbox stays in service."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from sandbank.v1.execution_pb2 import Operation
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Connection

CAUSES = {
    "a segfault": ("import ctypes\nctypes.string_at(0)", "killed by SIGSEGV"),
    "an exit": ("import os\nos._exit(3)", "exited with code 3"),
    "an abort": ("import os\nos.abort()", "killed by SIGABRT"),
    "a kill": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
    "closed descriptors": ("import os\nos.closerange(3, 300)", "exited with code"),
}


@pytest.mark.parametrize(("code", "cause"), CAUSES.values(), ids=CAUSES)
async def test_a_death_is_told_with_its_cause(session: Connection, code: str, cause: str):
    """CRASHED, ROLLED_BACK; what was written before is there; the next operation runs, counted on."""
    operation = await session.run("a", f"import os\nos.write(1, b'last words')\n{code}")
    assert (operation.state, operation.outcome) == (Operation.STATE_CRASHED, Operation.OUTCOME_ROLLED_BACK)
    assert operation.error.type_name == "InterpreterDied"
    assert cause in operation.error.message
    assert session.output("a") == b"last words"
    (replaced,) = session.all_told("interpreter_replaced")
    assert replaced.reason.startswith(cause)
    assert (replaced.operation_id, replaced.state_lost, replaced.number) == ("a", True, 1)
    operation = await session.run("b", "1")
    assert (operation.state, operation.execution_count) == (Operation.STATE_SUCCEEDED, 2)


async def test_queued_operations_run_after_a_death(session: Connection):
    """They were accepted, and nothing of theirs has begun."""
    session.submit("a", CAUSES["an exit"][0])
    session.submit("b", "1")
    assert (await session.finished("a")).state == Operation.STATE_CRASHED
    assert (await session.finished("b")).state == Operation.STATE_SUCCEEDED


async def test_a_death_between_operations_belongs_to_none(session: Connection):
    """A thread that ends the process later: told with an empty operation id, and what ran there is LOST."""
    code = "import os, threading\nthreading.Timer(0.2, os._exit, (5,)).start()\nx = 1"
    assert (await session.run("a", code)).state == Operation.STATE_SUCCEEDED
    replaced = await session.until_told("interpreter_replaced")
    assert (replaced.operation_id, replaced.reason) == ("", "exited with code 5")
    assert (await session.run("b", "'x' in globals()")).result["text/plain"] == b"False"
    reply = await session.ask(get_operation=pb.GetOperation(operation_id="a"))
    assert Operation.FromString(reply.operation).outcome == Operation.OUTCOME_LOST


async def test_the_environment_is_there_again(start: Start):
    """Each fresh interpreter gets env and secret_env; neither is ever written down."""
    async with start() as sandbox:
        other = await sandbox.session(env={"PLAIN": "p"}, secret_env={"SECRET": "hush-hush"})
        look = "import os\nos.environ['PLAIN'] + os.environ['SECRET']"
        assert (await other.run("a", look)).result["application/json"] == b'"phush-hush"'
        await other.run("b", CAUSES["an exit"][0])
        assert (await other.run("c", look)).result["application/json"] == b'"phush-hush"'
        again = await sandbox.connect()
        assert b"hush" not in again.hello.SerializeToString()
    assert "hush" not in sandbox.errors.read_text()


async def test_a_child_that_dies_ends_nothing(session: Connection):
    """Only the interpreter's own death counts, however many children it had."""
    code = """
import os, signal
for number in range(50):
    if os.fork() == 0:
        os.kill(os.getpid(), signal.SIGKILL)
for number in range(25):
    os.wait()
x = 1
"""
    assert (await session.run("a", code)).state == Operation.STATE_SUCCEEDED
    assert (await session.run("b", "x")).result["text/plain"] == b"1"


async def test_orphans_are_reaped_and_swept(start: Start):
    """Children of dead children end up with the supervisor: reaped as they die, killed with their interpreter."""
    code = """
import os, time
for number in range(20):
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
            if number % 2:
                os._exit(0)
            time.sleep(600)
        os._exit(0)
    os.wait()
"""
    async with start() as sandbox:
        session = await sandbox.session()
        await session.run("a", code)
        await session.run("b", CAUSES["an exit"][0])
        await session.run("c", "1")
        assert len(_children(sandbox.process.pid)) == 2  # the template and the interpreter


async def test_the_sandbox_ends_with_its_template(start: Start):
    """Without it no interpreter can be had any more: exit code 72, and the reason on stderr."""
    async with start() as sandbox:
        session = await sandbox.session()
        await session.run("a", "1")
        os.kill(_template(sandbox.process.pid), signal.SIGKILL)
        assert await sandbox.exit_code() == 72
    assert "template process" in sandbox.errors.read_text()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _template(pid: int) -> int:
    names = {Path(f"/proc/{child}/comm").read_text().strip(): child for child in _children(pid)}
    return names["template"]
