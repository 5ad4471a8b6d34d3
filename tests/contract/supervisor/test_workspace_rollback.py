"""The workspace's files under operations and transactions: what they changed is told, and goes back where asked for."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from sandbank.v1.execution_pb2 import (
    FILE_CHANGE_KIND_ADDED,
    FILE_CHANGE_KIND_MODE_CHANGED,
    FILE_CHANGE_KIND_MODIFIED,
    FILE_CHANGE_KIND_REMOVED,
    Operation,
)
from sandbank.v1.transaction_pb2 import (
    TX_POLICY_COMMIT_ON_SUCCESS,
    TX_POLICY_EXPLICIT,
    TX_POLICY_ROLLBACK_ON_FAILURE,
    Transaction,
)
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Connection, Running, seconds

ATOMIC = [TX_POLICY_COMMIT_ON_SUCCESS, TX_POLICY_ROLLBACK_ON_FAILURE]
BEFORE = """
import os
os.makedirs('d/e')
open('a', 'w').write('one'); open('d/b', 'w').write('two'); open('d/e/c', 'w').write('three')
os.symlink('a', 'link'); os.link('a', 'hard')
held = open('d/b')
"""
DURING = """
os.remove('a'); os.rename('d', 'x'); open('x/e/c', 'w').write('changed'); os.chmod('x/b', 0o600)
open('new', 'w').write('new'); os.remove('link'); os.symlink('new', 'link'); os.truncate('x/b', 0)
held.close()
"""
ENDINGS = {
    "an error": ("1 / 0", {}),
    "a timeout": ("while True: pass", {"timeout": 0.5}),
    "a timeout in C": ("sum(range(10**12))", {"timeout": 0.5}),
    "a segfault": ("import ctypes\nctypes.string_at(0)", {}),
    "an end of the process": ("os._exit(3)", {}),
}


@pytest.fixture
async def sandbox(start: Start) -> AsyncIterator[Running]:
    """A sandbox whose sessions the test makes."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(start())


@pytest.fixture
async def hasty(sandbox: Running) -> Connection:
    """A session that has little patience with what does not react to an interrupt."""
    return await sandbox.session(interrupt_grace=seconds(0.2))


def files(sandbox: Running) -> dict[str, tuple[int, object]]:
    """Return what lies in the workspace."""
    workspace = sandbox.directory / "workspace"
    found: dict[str, tuple[int, object]] = {}
    for path in workspace.rglob("*"):
        mode = path.lstat().st_mode
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(workspace))] = (mode, content)
    return found


def changed(operation: Operation) -> dict[str, int]:
    """Return what an operation is said to have done to files."""
    return {change.path: change.kind for change in operation.files_changed}


def warned(operation: Operation, code: str = "FILES_NOT_ROLLED_BACK") -> list[str] | None:
    """Return the names of a warning; None where there is none."""
    return next((list(each.names) for each in operation.warnings if each.code == code), None)


async def begin(session: Connection, name: str = "t", *, include_files: bool = True) -> pb.Reply:
    """Begin a transaction."""
    return await session.ask(
        begin_transaction=pb.BeginTransaction(
            transaction_id=name, idle_timeout=seconds(60), include_files=include_files
        )
    )


async def end(session: Connection, *, commit: bool, name: str = "t") -> pb.Reply:
    """End a transaction."""
    return await session.ask(end_transaction=pb.EndTransaction(transaction_id=name, commit=commit))


async def upload(sandbox: Running, path: str, content: bytes) -> None:
    """Upload a file as the control plane does."""
    connection = await sandbox.connect(greet=False)
    connection.send(open=pb.Open(protocol_version=1, purpose=pb.PURPOSE_FILES))
    connection.send(file=pb.FileRequest(upload=pb.FileRequest.Upload(path=path, size_bytes=-1)))
    connection.send(file_chunk=pb.FileChunk(data=content, last=True))
    reply = (await connection.read()).file_reply
    assert not reply.HasField("failure"), reply.failure
    await connection.close()


async def test_an_operation_tells_what_it_changed(session: Connection):
    """By path and kind, also where it failed; the next one tells nothing of it."""
    first = await session.run("a", BEFORE)
    assert changed(first) == dict.fromkeys(
        ["a", "d", "d/b", "d/e", "d/e/c", "hard", "link"], FILE_CHANGE_KIND_ADDED
    )
    assert changed(await session.run("b", "1")) == {}
    third = await session.run("c", "os.remove('a'); open('d/b', 'a').write('x'); os.chmod('d', 0o700); 1 / 0")
    assert changed(third) == {
        "a": FILE_CHANGE_KIND_REMOVED,
        "d": FILE_CHANGE_KIND_MODE_CHANGED,
        "d/b": FILE_CHANGE_KIND_MODIFIED,
    }
    again = await session.ask(get_operation=pb.GetOperation(operation_id="c"))
    assert changed(Operation.FromString(again.operation)) == changed(third)


async def test_an_upload_is_no_operations_change(sandbox: Running):
    """Neither of the one before nor of the one after it."""
    session = await sandbox.session()
    assert changed(await session.run("a", "1")) == {}
    await upload(sandbox, "up/loaded", b"x")
    assert changed(await session.run("b", "open('own', 'w').close()")) == {"own": FILE_CHANGE_KIND_ADDED}


@pytest.mark.parametrize("policy", ATOMIC)
@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_failed_operation_returns_the_files(
    sandbox: Running, hasty: Connection, policy: int, ending: str
):
    """Under both policies and however it fails: as they were, links and modes too, and nothing is said of them."""
    await hasty.run("before", BEFORE)
    before = files(sandbox)
    code, options = ENDINGS[ending]
    failed = await hasty.run("a", DURING + code, tx_policy=policy, include_files=True, **options)
    assert failed.outcome == Operation.OUTCOME_ROLLED_BACK
    assert files(sandbox) == before
    assert changed(failed) == {}
    assert warned(failed) is None
    look = await hasty.run("b", "[held.read(), os.path.samefile('a', 'hard'), open('link').read()]")
    assert look.result["text/plain"] == b"['two', True, 'one']"
    assert changed(look) == {}


@pytest.mark.parametrize("policy", ATOMIC)
async def test_a_successful_operation_keeps_its_files(sandbox: Running, policy: int):
    """They are told as of any other."""
    session = await sandbox.session()
    await session.run("before", BEFORE)
    done = await session.run("a", DURING, tx_policy=policy, include_files=True)
    assert done.outcome == Operation.OUTCOME_COMMITTED
    assert changed(done)["new"] == FILE_CHANGE_KIND_ADDED
    assert "x/e/c" in files(sandbox)


@pytest.mark.parametrize("ending", ENDINGS)
async def test_without_asking_files_stay_and_are_named(sandbox: Running, hasty: Connection, ending: str):
    """The warning says that they were not rolled back; what is listed is what was changed."""
    await hasty.run("before", BEFORE)
    code, options = ENDINGS[ending]
    failed = await hasty.run("a", DURING + code, tx_policy=TX_POLICY_COMMIT_ON_SUCCESS, **options)
    assert failed.outcome == Operation.OUTCOME_ROLLED_BACK
    assert (sandbox.directory / "workspace" / "new").read_text() == "new"
    assert set(warned(failed) or ()) == set(changed(failed))
    assert changed(failed)["new"] == FILE_CHANGE_KIND_ADDED
    assert changed(failed)["a"] == FILE_CHANGE_KIND_REMOVED
    assert changed(await hasty.run("b", "1")) == {}


async def test_a_failed_operation_that_wrote_nothing_is_not_warned_of(session: Connection):
    """A warning that always comes says nothing."""
    await session.run("before", BEFORE)
    failed = await session.run("a", "open('a').read(); 1 / 0", tx_policy=TX_POLICY_COMMIT_ON_SUCCESS)
    assert warned(failed) is None


async def test_a_rolled_back_transaction_returns_the_files(sandbox: Running):
    """What all its members did, and what was uploaded meanwhile."""
    session = await sandbox.session()
    await session.run("before", BEFORE)
    before = files(sandbox)
    opened = Transaction.FromString((await begin(session)).transaction)
    assert opened.include_files
    await session.run("a", DURING, transaction_id="t", tx_policy=TX_POLICY_EXPLICIT)
    await upload(sandbox, "x/uploaded", b"x")
    await session.run("b", "open('x/e/more', 'w').write('more')", transaction_id="t")
    assert "x/e/more" in files(sandbox)
    await end(session, commit=False)
    assert files(sandbox) == before
    look = await session.run("look", "held.read()")
    assert (look.result["text/plain"], changed(look), warned(look)) == (b"'two'", {}, None)


async def test_an_upload_alone_is_rolled_back_too(sandbox: Running):
    """Where nothing ran in the transaction."""
    session = await sandbox.session()
    await session.run("before", "x = 1")
    await begin(session)
    await upload(sandbox, "uploaded", b"x")
    await end(session, commit=False)
    assert files(sandbox) == {}
    assert (await session.run("look", "x")).result["text/plain"] == b"1"


async def test_a_committed_transaction_keeps_the_files(sandbox: Running):
    """And the next one begins with them."""
    session = await sandbox.session()
    await session.run("before", BEFORE)
    await begin(session)
    await session.run("a", DURING, transaction_id="t")
    await end(session, commit=True)
    after = files(sandbox)
    assert "new" in after
    await begin(session, "u")
    await session.run("b", "os.remove('new')", transaction_id="u")
    await end(session, commit=False, name="u")
    assert files(sandbox) == after


async def test_a_member_that_is_stopped_returns_its_own_files_only(sandbox: Running, hasty: Connection):
    """By an interrupt or by a kill: the transaction stays open with what the others did."""
    await hasty.run("before", BEFORE)
    before = files(sandbox)
    await begin(hasty)
    await hasty.run("a", "open('first', 'w').write('1')", transaction_id="t")
    middle = files(sandbox)
    for number, code in enumerate(("while True: pass", "sum(range(10**12))")):
        stopped = await hasty.run(f"b{number}", DURING + code, transaction_id="t", timeout=0.5)
        assert (stopped.state, stopped.outcome) == (
            Operation.STATE_TIMED_OUT,
            Operation.OUTCOME_ROLLED_BACK,
        )
        assert files(sandbox) == middle
    await hasty.run("c", DURING, transaction_id="t")
    await end(hasty, commit=False)
    assert files(sandbox) == before


async def test_a_savepoint_returns_its_own_files_only(sandbox: Running):
    """In a transaction with files and, where it asks for that itself, in one without."""
    session = await sandbox.session()
    await session.run("before", BEFORE)
    for name, include in (("t", True), ("u", False)):
        await begin(session, name, include_files=include)
        await session.run(f"{name}1", f"open('{name}', 'w').write('1')", transaction_id=name)
        middle = files(sandbox)
        failed = await session.run(
            f"{name}2",
            DURING + "1 / 0",
            transaction_id=name,
            tx_policy=TX_POLICY_ROLLBACK_ON_FAILURE,
            include_files=not include,
        )
        assert failed.outcome == Operation.OUTCOME_ROLLED_BACK
        assert files(sandbox) == middle
        await end(session, commit=True, name=name)
        assert files(sandbox) == middle


async def test_the_interpreters_death_rolls_the_transactions_files_back(sandbox: Running):
    """With the transaction, whichever member it dies under."""
    session = await sandbox.session()
    await session.run("before", BEFORE)
    before = files(sandbox)
    await begin(session)
    await session.run("a", DURING, transaction_id="t")
    died = await session.run("b", "open('more', 'w').write('x'); os._exit(1)", transaction_id="t")
    assert died.state == Operation.STATE_CRASHED
    assert files(sandbox) == before
    assert warned(died) is None


async def test_without_asking_a_transactions_files_stay_and_are_named(sandbox: Running):
    """By the next operation, where no other has to do with the rollback."""
    session = await sandbox.session()
    await session.run("before", BEFORE)
    await begin(session, include_files=False)
    await session.run("a", DURING, transaction_id="t")
    await end(session, commit=False)
    assert "new" in files(sandbox)
    look = await session.run("look", "1")
    assert "new" in (warned(look) or ())
    assert changed(look) == {}


async def test_what_is_too_large_is_refused(sandbox: Running):
    """An operation never begins, a transaction is not opened, and what was kept before is still good."""
    session = await sandbox.session(workspace_copy_bytes=100_000)
    await session.run("before", "open('small', 'w').write('x' * 50_000)")
    await begin(session)
    await session.run("a", "open('large', 'w').write('x' * 100_000)", transaction_id="t")
    member = await session.run("b", "1", transaction_id="t")
    assert (member.state, member.outcome) == (Operation.STATE_FAILED, Operation.OUTCOME_NOT_STARTED)
    assert member.error.type_name == "FilesTooLarge"
    assert "100000 bytes" in member.error.message
    await end(session, commit=False)
    assert set(files(sandbox)) == {"small"}
    await session.run("c", "open('large', 'w').write('x' * 100_000)")
    reply = await begin(session, "u")
    assert reply.failure.reason == "FILES_TOO_LARGE"
    refused = await session.run("d", "ran = 1", tx_policy=TX_POLICY_COMMIT_ON_SUCCESS, include_files=True)
    assert (refused.error.type_name, refused.outcome) == ("FilesTooLarge", Operation.OUTCOME_NOT_STARTED)
    assert (await session.run("e", "'ran' in globals()")).result["text/plain"] == b"False"
    await session.run("f", "import os; os.remove('large')")
    assert (await begin(session, "v")).failure.reason == ""


async def test_a_dead_keeper_costs_the_files_and_says_so(sandbox: Running):
    """Where memory runs out, say: state is rolled back all the same, the files are named, and the next one works."""
    session = await sandbox.session()
    await session.run("before", BEFORE + "import time")
    pid = await _keeper(sandbox, session)
    session.submit(
        "a",
        "open('new', 'w').close()\nprint('go', flush=True)\n"
        "while not os.path.exists('go'): time.sleep(0.001)\n1 / 0",
        tx_policy=TX_POLICY_COMMIT_ON_SUCCESS,
        include_files=True,
    )
    await session.until("a", "output")
    os.kill(pid, signal.SIGKILL)
    (sandbox.directory / "workspace" / "go").touch()
    failed = await session.finished("a")
    assert failed.outcome == Operation.OUTCOME_ROLLED_BACK
    assert warned(failed) == ["go", "new"]
    assert set(changed(failed)) == {"go", "new"}
    before = files(sandbox)
    options: dict[str, Any] = {"tx_policy": TX_POLICY_COMMIT_ON_SUCCESS, "include_files": True}
    again = await session.run("b", "os.remove('a'); 1 / 0", **options)
    assert again.outcome == Operation.OUTCOME_ROLLED_BACK
    assert files(sandbox) == before


async def test_a_keeper_that_dies_between_operations_is_replaced(sandbox: Running):
    """The first base of the next one copies everything again."""
    session = await sandbox.session()
    await session.run("before", BEFORE)
    before = files(sandbox)
    for number in range(3):
        os.kill(await _keeper(sandbox, session), signal.SIGKILL)
        failed = await session.run(
            f"a{number}", DURING + "1 / 0", tx_policy=TX_POLICY_COMMIT_ON_SUCCESS, include_files=True
        )
        assert failed.outcome == Operation.OUTCOME_ROLLED_BACK
        assert files(sandbox) == before


async def test_a_reset_forgets_the_bases(sandbox: Running):
    """The transaction is over, and the next begins with the workspace as it is then."""
    session = await sandbox.session()
    await session.run("before", BEFORE)
    await begin(session)
    await session.run("a", DURING, transaction_id="t")
    await session.ask(reset=pb.Reset())
    assert files(sandbox) == {}
    await begin(session, "u")
    await session.run("b", "open('x', 'w').close()", transaction_id="u")
    await end(session, commit=False, name="u")
    assert files(sandbox) == {}


async def test_processes_of_a_rolled_back_operation_write_no_more(sandbox: Running):
    """They are gone before the files return."""
    session = await sandbox.session()
    await session.run("before", "import os, subprocess, sys, time")
    writer = "import itertools\\nfor n in itertools.count(): open(f'f{n % 50}', 'w').write(str(n))"
    failed = await session.run(
        "a",
        f"p = subprocess.Popen([sys.executable, '-c', '''{writer}'''])\n"
        "while not os.path.exists('f9'): time.sleep(0.001)\n1 / 0",
        tx_policy=TX_POLICY_COMMIT_ON_SUCCESS,
        include_files=True,
    )
    assert failed.outcome == Operation.OUTCOME_ROLLED_BACK
    assert files(sandbox) == {}
    assert changed(await session.run("b", "time.sleep(0.05)")) == {}


async def _keeper(sandbox: Running, session: Connection) -> int:
    """Have a keeper started, and return its process."""
    options: dict[str, Any] = {"tx_policy": TX_POLICY_COMMIT_ON_SUCCESS, "include_files": True}
    await session.run(f"keeper{len(session.events)}", "1", **options)
    return _child(sandbox.process.pid, "keeper")


def _child(parent: int, name: str) -> int:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    (found,) = [pid for pid in children if Path(f"/proc/{pid}/comm").read_text() == f"{name}\n"]
    return int(found)
