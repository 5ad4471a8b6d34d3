"""Making sessions: each request once, and nothing left behind by what fails or is cancelled half-way."""

from __future__ import annotations

import asyncio
import os

import pytest
from sandbank.v1 import session_pb2
from sandbank_server.errors import (
    DrainingError,
    PoolTimeoutError,
    RequestIdReusedError,
    SandboxLostBeforeStartError,
    StoreUnavailableError,
)

from tests.fakes.clock import settle
from tests.fakes.scripted_supervisor import ScriptedSupervisor
from tests.fakes.session_world import TENANT, World, until

State = session_pb2.Session


async def nothing_left(made: World) -> None:
    """Assert that no trace of a session is left: in memory, catalog, pool, on disk."""
    await until(lambda: not {"leased", "confirmed"} & set(made.pool.states.values()))
    assert made.manager.live_states() == []
    assert await made.catalog.list_sessions(TENANT, limit=9) == []
    assert await made.catalog.list_sessions(TENANT, limit=9, states=[State.STATE_TERMINATED]) == []
    assert log_files(made) == []


def log_files(made: World) -> list[str]:
    """Return the names of all operation logs."""
    return [name for _, _, names in os.walk(made.directory / "operations") for name in names]


async def test_a_repeated_request_gets_the_session_that_it_made(made: World) -> None:
    """At once, at the same time, after a restart, and after its end; another request under its id is refused."""
    new = made.new(request_id="r1", labels={"a": "b"})
    first, second = await asyncio.gather(made.manager.create(new), made.manager.create(new))
    assert first == second
    assert len(made.pool.sandboxes) == 1
    with pytest.raises(RequestIdReusedError):
        await made.manager.create(made.new(request_id="r1", labels={"a": "c"}))
    manager = await made.restart()
    assert (await manager.create(new)).session_id == first.session_id
    await manager.delete(TENANT, first.session_id)
    ended = await manager.create(new)
    assert (ended.session_id, ended.state) == (first.session_id, State.STATE_TERMINATED)
    with pytest.raises(RequestIdReusedError):
        await manager.create(made.new(request_id="r1"))


async def test_a_request_takes_over_from_one_that_failed(made: World) -> None:
    """Whoever waited for the first one makes the session itself."""
    made.pool.gate.clear()
    made.pool.errors = [PoolTimeoutError("none")]
    new = made.new(request_id="r1")
    first = asyncio.create_task(made.manager.create(new))
    await settle()
    second = asyncio.create_task(made.manager.create(new))
    await settle()
    made.pool.gate.set()
    with pytest.raises(PoolTimeoutError):
        await first
    assert (await second).state == State.STATE_ACTIVE


async def test_a_request_takes_over_from_one_that_was_cancelled(made: World) -> None:
    """A client that went away does not take the others along."""
    made.pool.gate.clear()
    new = made.new(request_id="r1")
    first = asyncio.create_task(made.manager.create(new))
    await settle()
    second = asyncio.create_task(made.manager.create(new))
    await settle()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    made.pool.gate.set()
    assert (await second).state == State.STATE_ACTIVE


async def test_a_create_cancelled_while_it_waits_for_a_sandbox_leaves_nothing(made: World) -> None:
    """The first await."""
    made.pool.gate.clear()
    creating = asyncio.create_task(made.manager.create(made.new(request_id="r1")))
    await settle()
    creating.cancel()
    await asyncio.gather(creating, return_exceptions=True)
    made.pool.gate.set()
    await nothing_left(made)
    assert (await made.manager.create(made.new(request_id="r1"))).state == State.STATE_ACTIVE


async def test_a_create_cancelled_while_the_sandbox_is_assigned_leaves_nothing(made: World) -> None:
    """The second: the sandbox may have heard of the session, so nobody else gets it."""
    asked = asyncio.Event()

    def hold(sandbox: ScriptedSupervisor) -> None:
        sandbox.answer = lambda _request, _reply: asked.set() is not None

    made.pool.prepare = hold
    creating = asyncio.create_task(made.manager.create(made.new(request_id="r1")))
    await asked.wait()
    creating.cancel()
    await asyncio.gather(creating, return_exceptions=True)
    await nothing_left(made)


async def test_a_create_cancelled_while_it_is_saved_leaves_nothing(made: World) -> None:
    """The third: also when the write goes through after all; a repeated request makes a session that lives."""
    made.catalog.gate.clear()
    new = made.new(request_id="r1")
    creating = asyncio.create_task(made.manager.create(new))
    await made.catalog.waiting.wait()
    creating.cancel()
    await settle()
    made.catalog.gate.set()
    await asyncio.gather(creating, return_exceptions=True)
    assert creating.cancelled()
    await nothing_left(made)
    assert (await made.manager.create(new)).state == State.STATE_ACTIVE


async def test_a_session_that_cannot_be_saved_is_not_made(made: World) -> None:
    """The error says that nothing was changed, and so it is."""
    made.catalog.broken = True
    with pytest.raises(StoreUnavailableError):
        await made.manager.create(made.new(request_id="r1"))
    made.catalog.broken = False
    await nothing_left(made)
    assert (await made.manager.create(made.new(request_id="r1"))).state == State.STATE_ACTIVE


async def test_without_room_for_a_log_no_sandbox_is_used_up(made: World) -> None:
    """The log comes first: a full disk is told before anything is taken."""
    os.close(os.open(made.directory / "operations", os.O_CREAT))  # in the way of the directory
    with pytest.raises(StoreUnavailableError):
        await made.manager.create(made.new())
    assert made.pool.sandboxes == {}


async def test_a_pool_without_sandboxes_leaves_no_log(made: World) -> None:
    """What was begun is undone."""
    made.pool.errors = [PoolTimeoutError("none")]
    with pytest.raises(PoolTimeoutError):
        await made.manager.create(made.new())
    await nothing_left(made)


@pytest.mark.parametrize("deaths", [1, 3])
async def test_a_sandbox_that_dies_before_it_is_assigned_is_replaced_a_few_times(
    made: World, deaths: int
) -> None:
    """Another one is taken; when they keep dying the caller is told that nothing was done."""
    dying: list[ScriptedSupervisor] = []

    def break_off(sandbox: ScriptedSupervisor) -> None:
        if len(dying) < deaths:
            dying.append(sandbox)
            sandbox.answer = lambda _request, _reply: bool(sandbox.drop())

    made.pool.prepare = break_off
    if deaths < 3:
        told = await made.manager.create(made.new())
        assert told.sandbox_id not in {sandbox.sandbox_id for sandbox in dying}
        assert len(log_files(made)) == 1
    else:
        with pytest.raises(SandboxLostBeforeStartError):
            await made.manager.create(made.new())
        await nothing_left(made)


async def test_a_sandbox_that_breaks_the_protocol_in_its_first_breath_is_no_ones(made: World) -> None:
    """Garbage right behind the answer to Assign: the session is told to have crashed, not served by it."""

    def misbehave(sandbox: ScriptedSupervisor) -> None:
        def answer(request, reply) -> bool:
            sandbox.tell(reply=reply)
            sandbox.wires[-1].raw(b"\0\0\0\1\xff")
            return False

        sandbox.answer = answer

    made.pool.prepare = misbehave
    try:
        told = await made.manager.create(made.new())
    except SandboxLostBeforeStartError:
        await nothing_left(made)
    else:
        await until(lambda: made.manager.live(TENANT, told.session_id).record.state == State.STATE_CRASHED)
    await until(lambda: "confirmed" not in made.pool.states.values())


async def test_a_server_that_drains_makes_no_session(made: World) -> None:
    """It says so."""
    made.manager.drain()
    with pytest.raises(DrainingError):
        await made.manager.create(made.new())
