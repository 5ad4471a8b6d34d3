"""What a watcher of a session is told, however late, slow or often it comes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from sandbank.v1 import session_pb2
from sandbank_server.errors import DrainingError
from sandbank_server.sessions.life.events import KEPT_BYTES, KEPT_EVENTS, SessionEvents

FIRST = 1000


def new_events() -> SessionEvents:
    """Return the events of a session to which nothing has happened."""
    return SessionEvents(FIRST, lambda: datetime(2030, 1, 1, tzinfo=UTC))


def snapshot() -> session_pb2.Session:
    """Return the session as it is now."""
    return session_pb2.Session(session_id="ses-1", state_detail="now")


def publish(events: SessionEvents, data: bytes = b"x") -> None:
    """Let something happen."""
    events.publish(background_output=session_pb2.BackgroundOutput(stream=1, data=data))


async def read(events: SessionEvents, after: int) -> list[session_pb2.SessionEvent]:
    """Read everything up to the end."""
    return [event async for event in events.watch(after, snapshot)]


@pytest.mark.parametrize("after", [0, FIRST - 1, FIRST + 10**9])
async def test_who_comes_first_or_with_a_foreign_number_sees_the_session(after: int) -> None:
    """The session as it is, under the newest number; then what follows."""
    events = new_events()
    watch = events.watch(after, snapshot)
    first = await anext(watch)
    assert (first.sequence, first.session_changed.state_detail) == (FIRST, "now")
    publish(events)
    assert (await anext(watch)).sequence == FIRST + 1


async def test_who_goes_on_gets_what_came_after_and_nothing_twice() -> None:
    """Exactly the events after the number."""
    events = new_events()
    for _ in range(5):
        publish(events)
    events.end()
    assert [event.sequence for event in await read(events, FIRST + 2)] == [FIRST + 3, FIRST + 4, FIRST + 5]
    assert await read(events, FIRST + 5) == []


async def test_who_fell_behind_sees_the_session_and_goes_on() -> None:
    """What was dropped is made up for by the session as it is; sequences still only grow."""
    events = new_events()
    publish(events)
    watch = events.watch(FIRST, snapshot)
    assert (await anext(watch)).sequence == FIRST + 1
    for _ in range(KEPT_EVENTS + 10):
        publish(events)
    current = await anext(watch)
    assert current.session_changed.state_detail == "now"
    assert current.sequence == FIRST + KEPT_EVENTS + 11
    publish(events)
    assert (await anext(watch)).sequence == current.sequence + 1


async def test_an_event_over_the_bound_is_still_told_to_those_who_wait() -> None:
    """The newest one is kept whatever its size; older ones make room."""
    events = new_events()
    publish(events)
    waiting = asyncio.create_task(anext(events.watch(FIRST + 1, snapshot)))
    await asyncio.sleep(0)
    publish(events, b"x" * (KEPT_BYTES + 1))
    assert (await waiting).sequence == FIRST + 2
    publish(events)
    events.end()
    assert len(events._kept) == 1


async def test_what_is_kept_is_bounded() -> None:
    """By count and by bytes."""
    events = new_events()
    for _ in range(3 * KEPT_EVENTS):
        publish(events, b"x" * 10_000)
    assert len(events._kept) <= KEPT_EVENTS
    assert sum(event.ByteSize() for event in events._kept) <= KEPT_BYTES


async def test_draining_ends_a_watch_after_what_there_is() -> None:
    """Nothing that happened is kept from the watcher."""
    events = new_events()
    publish(events)
    watch = events.watch(FIRST, snapshot)
    events.drain()
    assert (await anext(watch)).sequence == FIRST + 1
    with pytest.raises(DrainingError):
        await anext(watch)
