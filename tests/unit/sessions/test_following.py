"""One reader of many operations: everything comes once, in order, and little is held."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sandbank.v1 import execution_pb2
from sandbank_server.sessions.operations import following
from sandbank_server.sessions.operations.cursor import Cursor
from sandbank_server.sessions.operations.following import Following
from sandbank_server.sessions.operations.live_operation import LastEvent, LiveOperation

from tests.fakes.session_world import World, collect, until

NOTHING: Any = None
"""Journal and log, of which a reader that keeps up has no need."""


def _cursor(live: LiveOperation) -> Cursor:
    return Cursor(live.operation_id, live, NOTHING, NOTHING)


def _push(live: LiveOperation, *events: bytes, finished: bool = False) -> None:
    for event in events:
        live.push(event)
    if finished:
        live.push(LastEvent(b"end"), finished=True)
    live.wake()


async def _read(followings: Following) -> list[tuple[str, bytes]]:
    """Take what the first in the queue has now, as the writer of a stream does."""
    followed = followings.next()
    if followed is None:
        return []
    live = followed.cursor.live
    last = live.last if live is not None else 1 << 60
    read: list[tuple[str, bytes]] = []
    while batch := await followed.cursor.more():
        read += [(followed.cursor.operation_id, event) for event in batch]
        if followed.cursor.position >= last:
            break
    if followed.cursor.ended:
        followings.drop(followed)
    return read


async def test_news_come_in_the_order_in_which_they_came() -> None:
    """One with something new waits its turn; what comes to it meanwhile goes with it."""
    one, two = LiveOperation("one"), LiveOperation("two")
    follows = Following()
    follows.add(_cursor(one), 1, cancel=False)
    follows.add(_cursor(two), 2, cancel=False)
    assert follows.next() is None
    _push(two, b"first")
    _push(one, b"a")
    _push(two, b"second")
    assert await _read(follows) == [("two", b"first"), ("two", b"second")]
    _push(two, finished=True)
    assert await _read(follows) == [("one", b"a")]
    assert await _read(follows) == [("two", b"end")]
    assert len(follows) == 1
    assert follows.next() is None


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=60),
    st.lists(st.booleans(), max_size=120),
)
def test_operations_one_after_the_other_are_read_one_after_the_other(
    sizes: list[tuple[int, int]], reads: list[bool]
) -> None:
    """However reading and writing alternate: each event once, and none of a later operation before an earlier one's."""

    async def run() -> None:
        follows = Following()
        lives = [LiveOperation(f"{number:03}") for number in range(len(sizes))]
        for number, live in enumerate(lives):
            follows.add(_cursor(live), number, cancel=False)
        read: list[tuple[str, bytes]] = []
        chances = iter(reads)
        expected = []
        for live, (first, second) in zip(lives, sizes, strict=True):
            for count in (first, second):
                _push(live, *[b"x"] * count)
                if next(chances, False):
                    read += await _read(follows)
            _push(live, finished=True)
            expected += [(live.operation_id, b"x")] * (first + second) + [(live.operation_id, b"end")]
        while len(follows):
            read += await _read(follows)
        assert read == expected

    asyncio.run(run())


async def test_the_reader_is_woken_by_news_and_by_others() -> None:
    """Once for any number of them."""
    live = LiveOperation("op")
    follows = Following()
    follows.add(_cursor(live), 1, cancel=False)
    for wake in (lambda: _push(live, b"x"), follows.wake):
        waiting = asyncio.create_task(follows.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        wake()
        wake()
        await waiting
        await _read(follows)


async def test_what_is_dropped_is_heard_of_no_more() -> None:
    """Its bell keeps nothing of the reader."""
    live = LiveOperation("op")
    follows = Following()
    follows.add(_cursor(live), 1, cancel=True)
    _push(live, b"x")
    (followed,) = follows
    assert (followed.index, followed.cancel) == (1, True)
    follows.close()
    _push(live, b"y")
    assert live.bell.listeners == []
    assert follows.next() is None
    assert len(follows) == 0


async def test_windows_of_finished_operations_are_bounded(made: World) -> None:
    """Beyond the bound their rest is read from the journal: as whole, and in order."""
    session = await made.create()
    sandbox = made.sandbox_of(session)
    follows = Following()
    data = b"x" * 60_000
    for number in range(12):
        name = f"op-{number}"
        await made.submit(session, name)
        follows.add(session.operations.cursor(name), number, cancel=False)
        sandbox.start(name)
        for _ in range(4):
            sandbox.output(name, data)
        sandbox.finish(name)
        await until(lambda name=name: name not in session.operations.live)
    held = [each.cursor.live.kept_bytes for each in follows if each.cursor.live is not None]
    assert sum(held) <= following.HELD_BYTES
    assert 0 < len(held) < 12
    for number in range(12):
        events = [execution_pb2.OperationEvent.FromString(event) for _, event in await _read(follows)]
        assert {event.operation_id for event in events} == {f"op-{number}"}
        assert [event.sequence for event in events] == list(range(1, 7))
    assert len(follows) == 0


async def test_a_reader_of_an_operation_found_after_a_kill_sees_one_end(made: World) -> None:
    """Nobody knows how many events there had been; Finished comes once all the same."""
    session = await made.create()
    await made.submit(session, "op")
    sandbox = made.sandbox_of(session)
    sandbox.start("op")
    await until(lambda: session.operations.live["op"].last == 1)
    await sandbox.die()
    manager = await made.restart()
    again = manager.live("default", session.session_id)
    assert again is not None
    (end,) = await collect(again.operations.watch("op"))
    assert end.HasField("finished")


async def test_a_reader_that_waits_when_the_sandbox_is_lost_sees_one_end(made: World) -> None:
    """The same for one that was there before."""
    session = await made.create()
    await made.submit(session, "op")
    sandbox = made.sandbox_of(session)
    sandbox.start("op")
    await until(lambda: session.operations.live["op"].last == 1)
    sandbox.listed = False
    manager = await made.restart()
    again = manager.live("default", session.session_id)
    assert again is not None
    waiting = asyncio.create_task(collect(again.operations.watch("op")))
    await asyncio.sleep(0)
    again.sandbox_lost("gone")
    events = await waiting
    assert [event.HasField("finished") for event in events].count(True) == 1
