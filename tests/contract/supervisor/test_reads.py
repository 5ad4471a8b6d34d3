"""Reads of variables: the state that is seen, what hostile values cost, and that nothing is left of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sandbank.v1.execution_pb2 import Operation
from sandbank.v1.state_pb2 import ValueFormat
from sandbank.v1.transaction_pb2 import TxPolicy
from sandbank.v1.variable_pb2 import Variable
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Connection, Running, seconds

WAITS = "\nimport time, os\nprint('waits', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.005)\n"

OUR_REQUEST = 1_000_000
"""The first id of requests that are not asked one by one."""


@pytest.fixture
async def sandbox(start: Start) -> AsyncIterator[Running]:
    """A supervisor with the real interpreter."""
    async with start() as running:
        yield running


def read(timeout: float = 20.0, transaction_id: str = "", **what: Any) -> pb.Read:
    """Return a request."""
    return pb.Read(timeout=seconds(timeout), transaction_id=transaction_id, **what)


async def listing(
    session: Connection, *, timeout: float = 20.0, transaction_id: str = "", **what: Any
) -> pb.Reply:
    """List variables; return the reply."""
    asked = pb.Read.ListVariables(**{"limit": 100, **what})
    return await session.ask(read=read(timeout, transaction_id, list=asked))


async def previews(session: Connection, **what: Any) -> dict[str, str]:
    """List variables; return their previews by name."""
    return shown(await listing(session, **what))


def shown(reply: pb.Reply) -> dict[str, str]:
    """Return the previews of a reply by name."""
    assert not reply.HasField("failure"), reply.failure
    variables = [Variable.FromString(data) for data in reply.read.variables]
    return {variable.name: variable.preview for variable in variables}


def as_of(reply: pb.Reply) -> tuple[str, bool]:
    """Return what a reply says of the state that it saw."""
    return reply.read.as_of_operation_id, reply.read.stale


async def value(session: Connection, name: str, *, timeout: float = 20.0, **what: Any) -> pb.Reply:
    """Get one variable; return the reply."""
    asked = pb.Read.GetVariable(**{"name": name, "max_bytes": 1 << 20, **what})
    return await session.ask(read=read(timeout, get=asked))


async def replied(session: Connection, request_id: int) -> pb.Reply:
    """Wait for the reply to a request that was sent before."""
    while True:
        for message in session.told:
            if message.WhichOneof("message") == "reply" and message.reply.request_id == request_id:
                return message.reply
        await session.take()


def go(sandbox: Running) -> None:
    """Let what waits go on."""
    (sandbox.directory / "workspace" / "go").touch()


async def snapshot_taken(sandbox: Running, session: Connection) -> None:
    """Wait until the safety snapshot sleeps: the template, the live interpreter and it."""
    async with asyncio.timeout(20):
        while len(children(sandbox)) < 3:
            await session.ask(ping=pb.Ping())


def children(sandbox: Running) -> list[int]:
    """Return the children of the supervisor."""
    pid = sandbox.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_an_idle_session_shows_its_state(sandbox: Running):
    """Of a pristine interpreter, nothing of no operation; then everything of the last one."""
    session = await sandbox.session()
    reply = await listing(session)
    assert (shown(reply), as_of(reply)) == ({}, ("", False))
    await session.run("a", "x, y, _z = 1, [1, 2], 3")
    reply = await listing(session)
    assert (shown(reply), as_of(reply)) == ({"x": "1", "y": "[1, 2]"}, ("a", False))
    assert await previews(session, name_prefix="_", include_private=True) == {"_z": "3"}
    variable = Variable.FromString((await value(session, "y")).read.variables[0])
    assert (variable.type_name, variable.length, variable.preview) == ("list", 2, "[1, 2]")
    assert (variable.serializable, variable.unserializable_reason) == (True, "")


async def test_what_a_checkpoint_cannot_save_is_known(sandbox: Running):
    """A variable is serializable where saving it was tried and went well; else the reason is there."""
    session = await sandbox.session()
    await session.run("a", "x, y = [1], [i for i in [(j for j in 'ab')]]")
    reply = await listing(session)
    found = {each.name: each for each in map(Variable.FromString, reply.read.variables)}
    assert (found["x"].serializable, found["y"].serializable) == (True, False)
    assert found["y"].unserializable_reason == "a generator cannot be saved"


async def test_previews_are_as_long_as_the_session_wants_them(sandbox: Running):
    """200 characters where it says nothing, 2000 at most."""
    session = await sandbox.session(preview_chars=1_000_000)
    await session.run("a", "x = 'x' * 100_000")
    assert len((await previews(session))["x"]) == 2000


async def test_pages_follow_each_other(sandbox: Running):
    """`more` says that there are more."""
    session = await sandbox.session()
    await session.run("a", "globals().update({f'v{n:04}': n for n in range(2500)})")
    first = await listing(session, limit=1000)
    assert (len(first.read.variables), first.read.more) == (1000, True)
    last = await listing(session, limit=1000, after_name="v1999")
    assert (len(last.read.variables), last.read.more) == (500, False)


async def test_values_come_in_the_format_that_was_asked_for(sandbox: Running):
    """As repr, as JSON, in the richest form; what cannot be had says why."""
    session = await sandbox.session()
    await session.run("a", "x = {'k': [1, 2]}\ny = {1: 2}\nz = 'x' * 10_000")
    reply = await value(session, "x")
    assert (reply.read.data, reply.read.mime_type) == (b"{'k': [1, 2]}", "text/plain")
    reply = await value(session, "x", format=ValueFormat.VALUE_FORMAT_JSON)
    assert (reply.read.data, reply.read.mime_type) == (b'{"k":[1,2]}', "application/json")
    reply = await value(session, "x", format=ValueFormat.VALUE_FORMAT_MIME)
    assert reply.read.mime_type == "application/json"
    for name, asked, reason in (
        ("y", {"format": ValueFormat.VALUE_FORMAT_JSON}, "FORMAT_UNAVAILABLE"),
        ("y", {"format": ValueFormat.VALUE_FORMAT_ARROW}, "FORMAT_UNAVAILABLE"),
        ("z", {"max_bytes": 1000}, "TOO_LARGE"),
        ("absent", {}, "VARIABLE_NOT_FOUND"),
    ):
        reply = await value(session, name, **asked)
        assert (reply.failure.reason, bool(reply.failure.message)) == (reason, True)


async def test_a_running_operation_is_read_by_the_snapshot_before_it(sandbox: Running):
    """Without waiting for it, and `stale` says that something runs."""
    session = await sandbox.session()
    await session.run("a", "n = 1")
    await snapshot_taken(sandbox, session)
    session.submit("b", "n = 2" + WAITS)
    await session.until("b", "output")
    reply = await listing(session)
    assert (shown(reply)["n"], as_of(reply)) == ("1", ("a", True))
    go(sandbox)
    await session.finished("b")
    reply = await listing(session)
    assert (shown(reply)["n"], as_of(reply)) == ("2", ("b", False))


async def test_without_a_snapshot_a_running_operation_cannot_be_read(sandbox: Running):
    """SESSION_BUSY, at once; after it, it can."""
    session = await sandbox.session(snapshots_disabled=True)
    await session.run("a", "n = 1")
    session.submit("b", "n = 2" + WAITS)
    await session.until("b", "output")
    assert (await listing(session)).failure.reason == "SESSION_BUSY"
    go(sandbox)
    await session.finished("b")
    assert (await previews(session))["n"] == "2"


async def test_an_atomic_operation_is_not_seen_until_it_has_committed(sandbox: Running):
    """Under COMMIT_ON_SUCCESS readers see the state before it; when it is rolled back they always did."""
    session = await sandbox.session()
    await session.run("a", "n = 1")
    session.submit("b", "n = 2" + WAITS + "raise ValueError", tx_policy=TxPolicy.TX_POLICY_COMMIT_ON_SUCCESS)
    await session.until("b", "output")
    reply = await listing(session)
    assert (shown(reply)["n"], as_of(reply)) == ("1", ("a", True))
    go(sandbox)
    assert (await session.finished("b")).outcome == Operation.OUTCOME_ROLLED_BACK
    reply = await listing(session)
    assert (shown(reply)["n"], as_of(reply)) == ("1", ("a", False))


async def test_a_transaction_is_seen_by_its_members_only(sandbox: Running):
    """Who names it sees its newest state, during a member too; everybody else what was before it, until it commits."""
    session = await sandbox.session()
    await session.run("a", "n = 1")
    begin = pb.BeginTransaction(transaction_id="t", idle_timeout=seconds(60))
    assert not (await session.ask(begin_transaction=begin)).HasField("failure")
    await session.run("b", "n = 2", transaction_id="t", tx_policy=TxPolicy.TX_POLICY_EXPLICIT)
    assert as_of(outside := await listing(session)) == ("a", True)
    assert as_of(inside := await listing(session, transaction_id="t")) == ("b", False)
    assert (shown(outside)["n"], shown(inside)["n"]) == ("1", "2")
    session.submit("c", "n = 3" + WAITS, transaction_id="t", tx_policy=TxPolicy.TX_POLICY_EXPLICIT)
    await session.until("c", "output")
    assert as_of(outside := await listing(session)) == ("a", True)
    assert as_of(inside := await listing(session, transaction_id="t")) == ("b", True)
    assert (shown(outside)["n"], shown(inside)["n"]) == ("1", "2")
    go(sandbox)
    await session.finished("c")
    await session.ask(end_transaction=pb.EndTransaction(transaction_id="t", commit=True))
    reply = await listing(session)
    assert (shown(reply)["n"], as_of(reply)) == ("3", ("c", False))
    assert (await listing(session, transaction_id="t")).failure.reason == "NO_SUCH_TRANSACTION"
    assert (await listing(session, transaction_id="other")).failure.reason == "NO_SUCH_TRANSACTION"


HOSTILE = {
    "a loop in C": ("return str(sum(range(10 ** 13)))", "<preview unavailable: repr took too long>"),
    "a segfault": (
        "import ctypes; ctypes.string_at(0)",
        "<preview unavailable: repr ended its process: killed by SIGSEGV>",
    ),
    "an exit": (
        "import os; os._exit(3)",
        "<preview unavailable: repr ended its process: exited with code 3>",
    ),
}


@pytest.mark.parametrize(("body", "preview"), HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_variable_costs_its_own_preview(sandbox: Running, body: str, preview: str):
    """Another reader describes the rest; the session runs on, and no reader survives."""
    session = await sandbox.session()
    code = f"class Hostile:\n    def __repr__(self):\n        {body}\na, b, c, d = 1, Hostile(), 2, Hostile()\ne = 3"
    await session.run("x", code)
    shows = await previews(session)
    assert {name: shows[name] for name in "abcde"} == {
        "a": "1",
        "b": preview,
        "c": "2",
        "d": preview,
        "e": "3",
    }
    assert (await session.run("y", "e")).result["text/plain"] == b"3"
    await no_reader_left(sandbox, session)


async def test_a_hostile_value_is_refused(sandbox: Running):
    """With the reason, and the read ends."""
    session = await sandbox.session()
    await session.run("x", "class H:\n    def __repr__(self):\n        import os; os._exit(3)\nh = H()")
    failure = (await value(session, "h")).failure
    assert (failure.reason, failure.message) == (
        "FORMAT_UNAVAILABLE",
        "writing the value down ended its process: exited with code 3",
    )
    reply = await value(session, "h", format=ValueFormat.VALUE_FORMAT_MIME)
    assert reply.failure.reason == "FORMAT_UNAVAILABLE"
    await session.run(
        "y", "class L:\n    def __repr__(self):\n        return str(sum(range(10 ** 13)))\nh = L()"
    )
    failure = (await value(session, "h", timeout=2.0)).failure
    assert (failure.reason, failure.message) == (
        "FORMAT_UNAVAILABLE",
        "it took too long to write the value down",
    )
    await no_reader_left(sandbox, session)


async def test_a_read_that_takes_too_long_ends(sandbox: Running):
    """SESSION_BUSY after its timeout, however many hang."""
    session = await sandbox.session()
    code = "class H:\n    def __repr__(self):\n        return str(sum(range(10 ** 13)))\n"
    await session.run("x", code + "a, b = H(), H()")
    reply = await listing(session, timeout=1.0)
    assert reply.failure.reason == "SESSION_BUSY"
    await no_reader_left(sandbox, session)


async def test_many_hanging_variables_do_not_add_up(sandbox: Running):
    """After a few, nobody's `__repr__` is called any more: the listing comes all the same."""
    session = await sandbox.session()
    code = "class H:\n    def __repr__(self):\n        return str(sum(range(10 ** 13)))\n"
    await session.run("x", code + "globals().update({f'v{n:02}': H() for n in range(50)}, z=1)")
    shows = await previews(session, name_prefix="v")
    assert len(shows) == 50
    assert all(preview.startswith("<preview unavailable") for preview in shows.values())
    assert (await previews(session, name_prefix="z")) == {"z": "1"}


async def test_what_a_reader_forges_is_checked(sandbox: Running):
    """User code in a reader writes to its channel: other variables, wrong types, endless messages. Nothing breaks."""
    session = await sandbox.session()
    code = """
import os, struct, json
def forge(message):
    head = json.dumps(message).encode()
    data = b"\\0" + struct.pack(">I", len(head)) + head
    for number in range(3, 300):
        try: os.write(number, data)
        except OSError: pass
class Forger:
    def __repr__(self):
        for message in FORGED * COUNT: forge(message)
        return "forger"
COUNT = 1
FORGED = [7, [], {"type": 5}, {"type": "variables"}, {"type": "variables", "items": 7},
  {"type": "variables", "items": [{"name": 7}], "at": None}, {"type": "variables", "items": [None], "at": [1]},
  {"type": "variables", "items": [{"name": "f" * 10000, "shape": "x"}], "at": None},
  {"type": "value"}, {"type": "value", "mime_type": 7}, {"type": "no_value"}, {"type": "end", "more": 7, "blobs": [9]}]
f = Forger()
z = 1
"""
    await session.run("x", code)
    shows = await previews(session, name_prefix="f")
    assert shows["f"] == "forger"
    await session.run("y", "COUNT = 10 ** 9")
    reply = await listing(session, timeout=5.0, name_prefix="z")
    assert shown(reply) == {"z": "1"}
    reply = await listing(session, timeout=5.0, name_prefix="f")
    assert reply.HasField("failure") or shown(reply)["f"]
    assert (await session.run("w", "z")).result["text/plain"] == b"1"
    await no_reader_left(sandbox, session)


async def test_threads_are_no_obstacle(sandbox: Running):
    """With a thread of the user's at work there is no snapshot; the idle interpreter is read."""
    session = await sandbox.session()
    await session.run(
        "a",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nn = 1",
    )
    assert (await previews(session))["n"] == "1"


async def test_reads_beside_operations_all_see_whole_states(sandbox: Running):
    """Thirty reads while operations run one after the other: each sees two variables that belong together."""
    session = await sandbox.session(snapshot_history=2)
    await session.run("first", "a = b = 0")
    for number in range(1, 31):
        session.submit(f"op{number}", f"a = {number}\nb = {number}")
        session.send(OUR_REQUEST + number, read=read(list=pb.Read.ListVariables(limit=10)))
    replies: list[pb.Reply] = []
    while len(replies) < 30:
        message = await session.take()
        if message.WhichOneof("message") == "reply":
            replies.append(message.reply)
    for reply in replies:
        if not reply.HasField("failure"):
            shows = shown(reply)
            assert shows["a"] == shows["b"]
        else:
            assert reply.failure.reason == "SESSION_BUSY"
    assert any(not reply.HasField("failure") for reply in replies)
    assert (await session.finished("op30")).state == Operation.STATE_SUCCEEDED
    await no_reader_left(sandbox, session)


async def test_a_reader_that_a_rollback_sweeps_away_is_nobodys_fault(sandbox: Running):
    """The read begins anew, and blames no variable for it."""
    session = await sandbox.session()
    code = (
        "import time\nclass Slow:\n    def __repr__(self):\n        time.sleep(0.4)\n        return 'slow'\n"
    )
    await session.run("a", code + "s = Slow()\nimport subprocess\np = subprocess.Popen(['sleep', '600'])")
    await snapshot_taken(sandbox, session)
    session.submit("b", "import os\nprint('runs', flush=True)" + WAITS + "os.kill(os.getpid(), 9)")
    await session.until("b", "output")
    session.send(OUR_REQUEST, read=read(list=pb.Read.ListVariables(limit=10, name_prefix="s")))
    async with asyncio.timeout(20):
        while "reader" not in [name_of(child) for child in children(sandbox)]:
            await session.ask(ping=pb.Ping())
    go(sandbox)
    assert (await session.finished("b")).state == Operation.STATE_CRASHED
    reply = await replied(session, OUR_REQUEST)
    assert shown(reply)["s"] == "slow"
    await no_reader_left(sandbox, session)


async def test_no_more_than_four_readers_at_once(sandbox: Running):
    """Others wait for their turn, and all are answered."""
    session = await sandbox.session()
    code = (
        "import time\nclass Slow:\n    def __repr__(self):\n        time.sleep(0.1)\n        return 'slow'\n"
    )
    await session.run("a", code + "s = Slow()")
    for number in range(OUR_REQUEST, OUR_REQUEST + 12):
        session.send(number, read=read(list=pb.Read.ListVariables(limit=10, name_prefix="s")))
    most = 0
    for number in range(OUR_REQUEST, OUR_REQUEST + 12):
        most = max(most, [name_of(child) for child in children(sandbox)].count("reader"))
        assert shown(await replied(session, number))["s"] == "slow"
    assert 1 <= most <= 4
    await no_reader_left(sandbox, session)


async def test_readers_end_with_the_sandbox(start: Start):
    """One that hangs does not outlive its supervisor."""
    async with start() as sandbox:
        session = await sandbox.session()
        code = "class H:\n    def __repr__(self):\n        return str(sum(range(10 ** 13)))\nh = H()"
        await session.run("a", code)
        session.send(OUR_REQUEST, read=read(get=pb.Read.GetVariable(name="h", max_bytes=100)))
        async with asyncio.timeout(20):
            while not (readers := [child for child in children(sandbox) if name_of(child) == "reader"]):
                await session.ask(ping=pb.Ping())
        sandbox.process.kill()
        await sandbox.exit_code()
        async with asyncio.timeout(20):
            while any(name_of(reader) == "reader" for reader in readers):  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0)


async def test_a_read_while_the_interpreter_is_replaced_waits_for_it(sandbox: Running):
    """It sees the state that the session has then."""
    session = await sandbox.session()
    await session.run("a", "n = 1")
    await snapshot_taken(sandbox, session)
    session.submit("b", "import os; os.kill(os.getpid(), 9)")
    session.send(OUR_REQUEST, read=read(list=pb.Read.ListVariables(limit=10)))
    await session.finished("b")
    reply = await listing(session)
    assert (shown(reply)["n"], as_of(reply)) == ("1", ("a", False))


async def no_reader_left(sandbox: Running, session: Connection) -> None:
    """Wait until the supervisor has no child named as readers are."""
    async with asyncio.timeout(20):
        while "reader" in [name_of(child) for child in children(sandbox)]:
            await session.ask(ping=pb.Ping())


def name_of(pid: int) -> str:
    """Return the name of a process; empty where it is gone."""
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""
