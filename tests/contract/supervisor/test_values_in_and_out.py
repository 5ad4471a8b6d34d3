"""Variables that leave and come by a connection of their own.

The interpreter is a stand-in that keeps to the protocol, or does not: what is read and bound is checked elsewhere.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from sandbank.v1.execution_pb2 import Operation
from sandbank.v1.state_pb2 import VALUE_FORMAT_ARROW, VALUE_FORMAT_JSON
from sandbank.v1.transaction_pb2 import TX_POLICY_ROLLBACK_ON_FAILURE
from sandbank.v1.variable_pb2 import VariableChange
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Connection, Running, seconds
from tests.fakes.state_streams import StateStream, reply_to, state_stream

Keep = Callable[..., AbstractAsyncContextManager[tuple[Running, Connection]]]

ids = itertools.count(4_000_000)
ATOMIC = {"tx_policy": TX_POLICY_ROLLBACK_ON_FAILURE}
WAIT = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)"
BEGIN = pb.BeginTransaction(transaction_id="t", idle_timeout=seconds(60))


@pytest.fixture
def keep(start: Start) -> Keep:
    """Start a sandbox with a stand-in, and a session on it that takes no snapshots of itself."""

    @asynccontextmanager
    async def begin(saboteur: str = "Stateful", **assign: Any) -> AsyncIterator[tuple[Running, Connection]]:
        async with start(saboteur, preload=["tests.fakes.state_saboteurs"]) as sandbox:
            yield sandbox, await sandbox.session(**{"quiet_time": seconds(600), **assign})

    return begin


def export(session: Connection, stream: StateStream, name: str, timeout: float = 60.0, **fields: Any) -> int:
    """Ask for a variable; return the request's id."""
    request_id = next(ids)
    fields = {"format": VALUE_FORMAT_JSON, "timeout": seconds(timeout), **fields}
    session.send(request_id, export_variable=pb.ExportVariable(token=stream.token, name=name, **fields))
    return request_id


async def exported(sandbox: Running, session: Connection, name: str, **fields: Any) -> tuple[Any, pb.Reply]:
    """Have a variable sent; return its header and the reply."""
    stream = await state_stream(sandbox)
    request_id = export(session, stream, name, **fields)
    seen = await stream.hear()
    header = await stream.hear()
    reply = await reply_to(session, request_id)
    assert await stream.has_ended()
    told = reply.state
    assert (seen["operation"], seen["stale"]) == (told.as_of_operation_id, told.stale)
    return header, reply


def bind(session: Connection, stream: StateStream, name: str, timeout: float = 60.0, **fields: Any) -> int:
    """Ask for a variable to be bound; return the request's id."""
    request_id = next(ids)
    fields = {"format": "json", "timeout": seconds(timeout), **fields}
    session.send(request_id, import_variable=pb.ImportVariable(token=stream.token, name=name, **fields))
    return request_id


async def bound(sandbox: Running, session: Connection, name: str, value: Any, **fields: Any) -> pb.Reply:
    """Have a variable bound; return the reply."""
    stream = await state_stream(sandbox)
    request_id = bind(session, stream, name, **fields)
    stream.say(type="header", value=value)
    reply = await reply_to(session, request_id)
    await stream.close()
    return reply


async def shown(session: Connection, operation_id: str, **submit: Any) -> bytes:
    """Return what x is now."""
    await session.run(operation_id, "print(globals().get('x'), flush=True)", **submit)
    return session.output(operation_id).strip()


async def test_a_variable_is_sent_as_it_is(keep: Keep):
    """In the format that was asked for; the reply says of which state it is."""
    async with keep() as (sandbox, session):
        await session.run("a", "x = 5")
        header, reply = await exported(sandbox, session, "x")
        assert (header["format"], header["value"]) == ("json", 5)
        assert reply.state == pb.StateResult(as_of_operation_id="a")
        header, _ = await exported(sandbox, session, "x", format=VALUE_FORMAT_ARROW)
        assert header["format"] == "arrow"


async def test_an_export_sees_what_a_read_sees(keep: Keep):
    """While an operation runs the state before it; what is not committed only for who names the transaction."""
    async with keep() as (sandbox, session):
        await session.run("a", "x = 1")
        session.submit("b", f"x = 2\n{WAIT}", **ATOMIC)
        await session.until("b", "started")
        header, reply = await exported(sandbox, session, "x")
        assert (header["value"], reply.state.stale) == (1, True)
        (sandbox.directory / "workspace/go").touch()
        await session.finished("b")
        await session.ask(begin_transaction=BEGIN)
        await session.run("c", "x = 3", transaction_id="t")
        assert (await exported(sandbox, session, "x"))[0]["value"] == 2
        assert (await exported(sandbox, session, "x", transaction_id="t"))[0]["value"] == 3
        stream = await state_stream(sandbox)
        refused = await reply_to(session, export(session, stream, "x", transaction_id="other"))
        assert refused.failure.reason == "NO_SUCH_TRANSACTION"


async def test_an_export_that_hangs_is_ended_in_time(keep: Keep):
    """Its connection is cut, and others go on."""
    async with keep() as (sandbox, session):
        await session.run("a", "x = 'hang'; y = 1")
        stream = await state_stream(sandbox)
        request_id = export(session, stream, "x", timeout=0.5)
        assert [(await stream.hear())["type"] for _ in range(2)] == ["seen", "header"]
        assert (await exported(sandbox, session, "y"))[0]["value"] == 1
        assert (await reply_to(session, request_id)).failure.reason == "SESSION_BUSY"
        assert await stream.has_ended()


async def test_an_export_that_nobody_listens_to_is_ended(keep: Keep):
    """At once, and not when its time is over: its process has no other use, and its place is wanted."""
    async with keep() as (sandbox, session):
        await session.run("a", "x = 'hang'; y = 1")
        for _ in range(3):
            stream = await state_stream(sandbox)
            request_id = export(session, stream, "x", timeout=600)
            await stream.hear()
            await stream.close()
            assert (await reply_to(session, request_id)).failure.reason == "SESSION_BUSY"
        assert (await exported(sandbox, session, "y"))[0]["value"] == 1


async def test_an_unknown_format_is_refused(keep: Keep):
    """Without a process for it."""
    async with keep() as (sandbox, session):
        stream = await state_stream(sandbox)
        reply = await reply_to(session, export(session, stream, "x", format=99))
        assert reply.failure.reason == "FORMAT_UNAVAILABLE"


async def test_a_value_is_bound_between_operations(keep: Keep):
    """In its turn; what was submitted after it sees it."""
    async with keep() as (sandbox, session):
        session.submit("a", f"{WAIT}\nx = 'a'")
        await session.until("a", "started")
        stream = await state_stream(sandbox)
        request_id = bind(session, stream, "x")
        session.submit("b", "print(x, flush=True)")
        stream.say(type="header", value="imported")
        (sandbox.directory / "workspace/go").touch()
        reply = await reply_to(session, request_id)
        change = VariableChange.FromString(reply.state.change)
        assert (change.name, change.type_name, reply.state.as_of_operation_id) == ("x", "str", "a")
        assert (await session.finished("b")).execution_count == 2
        assert session.output("b") == b"imported\n"


async def test_a_bound_value_is_in_the_state(keep: Keep):
    """A rollback of what comes after it keeps it; going back to before it does not."""
    async with keep(snapshot_history=2) as (sandbox, session):
        await session.run("a", "x = 1")
        await bound(sandbox, session, "x", 2)
        failed = await session.run("b", "x = 3; 1 / 0", **ATOMIC)
        assert failed.outcome == Operation.OUTCOME_ROLLED_BACK
        assert await shown(session, "c") == b"2"
        assert not (await session.ask(rewind=pb.Rewind(operation_id="a"))).HasField("failure")
        assert await shown(session, "d") == b"1"


@pytest.mark.parametrize(("commit", "value"), [(True, b"2"), (False, b"1")])
async def test_in_a_transaction_it_is_undone_with_it(keep: Keep, commit: bool, value: bytes):
    """As what a member does."""
    async with keep() as (sandbox, session):
        await session.run("a", "x = 1")
        await session.ask(begin_transaction=BEGIN)
        outside = await bound(sandbox, session, "x", 9)
        assert outside.failure.reason == "TRANSACTION_OPEN"
        assert not (await bound(sandbox, session, "x", 2, transaction_id="t")).HasField("failure")
        assert (await exported(sandbox, session, "x"))[0]["value"] == 1
        await session.ask(end_transaction=pb.EndTransaction(transaction_id="t", commit=commit))
        assert await shown(session, "b") == value


async def test_what_cannot_be_bound_leaves_all_as_it_is(keep: Keep):
    """The reason is the interpreter's; nothing counts as changed."""
    async with keep(snapshot_history=1) as (sandbox, session):
        await session.run("a", "x = 1")
        failure = (await bound(sandbox, session, "x", 2, format="arrow")).failure
        assert (failure.reason, failure.message) == ("FORMAT_UNAVAILABLE", "JSON only")
        assert not (await session.ask(rewind=pb.Rewind(operation_id="a"))).HasField("failure")
        assert await shown(session, "b") == b"1"


async def test_a_connection_that_breaks_off_binds_nothing(keep: Keep):
    """And the queue goes on."""
    async with keep() as (sandbox, session):
        stream = await state_stream(sandbox)
        request_id = bind(session, stream, "x")
        await session.ask(ping=pb.Ping())
        await stream.close()
        assert (await reply_to(session, request_id)).failure.reason in ("BAD_FIELD", "SESSION_BUSY")
        assert await shown(session, "a") == b"None"


async def test_one_whose_connection_never_comes_gives_its_turn_up(keep: Keep):
    """What waits behind it runs then."""
    async with keep() as (_, session):
        request_id = next(ids)
        request = pb.ImportVariable(token="never", name="x", format="json", timeout=seconds(60))
        session.send(request_id, import_variable=request)
        assert await shown(session, "a") == b"None"
        assert (await reply_to(session, request_id)).failure.reason == "SESSION_BUSY"


async def test_one_that_takes_too_long_is_cut_off(keep: Keep):
    """An honest interpreter notices, and lives."""
    async with keep() as (sandbox, session):
        await session.run("a", "x = 1")
        stream = await state_stream(sandbox)
        request_id = bind(session, stream, "x", timeout=0.3)
        assert (await reply_to(session, request_id)).failure.reason == "SESSION_BUSY"
        assert await shown(session, "b") == b"1"
        assert session.all_told("interpreter_replaced") == []


async def test_an_interpreter_that_does_not_notice_is_killed(keep: Keep):
    """It goes back to before the import, as after any death."""
    async with keep("BindsNothing", snapshot_history=1) as (sandbox, session):
        await session.run("a", "x = 1")
        async with asyncio.timeout(20):
            reply = await bound(sandbox, session, "x", "silence", timeout=0.3)
        assert reply.failure.reason == "SESSION_BUSY"
        assert await shown(session, "b") == b"1"
        (replaced,) = session.all_told("interpreter_replaced")
        assert (replaced.restored_operation_id, list(replaced.lost_operation_ids)) == ("a", [])


async def test_an_interpreter_that_dies_of_it_goes_back(keep: Keep):
    """Nothing was bound."""
    async with keep(snapshot_history=1) as (sandbox, session):
        await session.run("a", "x = 1")
        assert (await bound(sandbox, session, "x", "die")).failure.reason == "SESSION_BUSY"
        assert await shown(session, "b") == b"1"


@pytest.mark.parametrize("how", ["reset", "rewind"])
async def test_it_is_swept_away_like_operations(keep: Keep, how: str):
    """One that runs and one that waits; what comes then runs in the new state."""
    async with keep(snapshot_history=1) as (sandbox, session):
        await session.run("a", "x = 1")
        streams = [await state_stream(sandbox) for _ in range(2)]
        requests = [bind(session, stream, "x") for stream in streams]
        if how == "reset":
            assert not (await session.ask(reset=pb.Reset())).HasField("failure")
        else:
            assert not (await session.ask(rewind=pb.Rewind(operation_id="a"))).HasField("failure")
        for request_id in requests:
            assert (await reply_to(session, request_id)).failure.reason == "SESSION_BUSY"
        assert await shown(session, "b") == (b"None" if how == "reset" else b"1")


@pytest.mark.parametrize("value", ["change", "nonsense", ["TOO_LARGE"], None, "TOO_LARGE"])
async def test_what_the_interpreter_says_of_it_is_checked(keep: Keep, value: Any):
    """A change that is none is left out; a reason that is none becomes one."""
    async with keep("BindsNothing") as (sandbox, session):
        reply = await bound(sandbox, session, "x", value)
        if value == "change":
            assert (reply.HasField("failure"), reply.state.change) == (False, b"")
        else:
            reason = value if value == "TOO_LARGE" else "FORMAT_UNAVAILABLE"
            assert reply.failure.reason == reason
        assert (await session.run("a", "x = 1")).outcome == Operation.OUTCOME_COMMITTED


async def test_states_are_numbered_so_that_what_a_death_took_along_can_be_told(keep: Keep):
    """What was bound after the snapshot that was woken has a higher number than the session's state then."""
    async with keep() as (sandbox, session):
        await session.run("a", "x = 1")
        await session.run("b", "pass", **ATOMIC)  # has a snapshot made first
        first = (await bound(sandbox, session, "x", 2)).state.state
        await session.run("c", "pass", **ATOMIC)
        second = (await bound(sandbox, session, "y", 3)).state.state
        await session.run("d", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        (replaced,) = session.all_told("interpreter_replaced")
        assert first <= replaced.restored_state < second <= replaced.newest_state
        assert await shown(session, "e") == b"2"
        assert (await bound(sandbox, session, "z", 4)).state.state > replaced.newest_state
