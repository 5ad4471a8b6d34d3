"""The window on an operation's newest events."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from sandbank_server.sessions.operations import live_operation
from sandbank_server.sessions.operations.live_operation import LiveOperation


@given(st.lists(st.integers(0, live_operation.WINDOW_BYTES + 10), max_size=40), st.integers(0, 45))
def test_the_window_is_bounded_and_exact(sizes: list[int], cursor: int) -> None:
    """Whatever is pushed, what it gives after a cursor is just what followed, or None where that is gone."""
    live = LiveOperation("op")
    pushed = []
    for number, size in enumerate(sizes):
        event = bytes([number % 256]) * size
        pushed.append(event)
        live.push(event)
        live.check_invariants()
    cursor = min(cursor, len(pushed))
    got = live.after(cursor)
    if got is None:
        assert cursor + 1 < live.first_kept
    else:
        assert list(got) == pushed[cursor:]


def test_an_event_over_the_window_is_left_to_the_journal() -> None:
    """One huge display costs the control plane no memory."""
    live = LiveOperation("op")
    live.push(b"x" * (live_operation.WINDOW_BYTES + 1))
    assert live.last == 1
    assert live.after(0) is None
    assert list(live.after(1) or ()) == []


def test_skipping_empties_the_window() -> None:
    """After a broken link what was missed has to come from the journal."""
    live = LiveOperation("op")
    live.push(b"a")
    live.skip_to(5)
    assert live.after(1) is None
    live.push(b"f")
    assert list(live.after(5) or ()) == [b"f"]
    live.check_invariants()


async def test_every_waiter_wakes_and_a_cancelled_one_is_forgotten() -> None:
    """A watcher that went away leaves nothing behind."""
    live = LiveOperation("op")
    stays = asyncio.ensure_future(live.changed())
    leaves = asyncio.ensure_future(live.changed())
    await asyncio.sleep(0)
    leaves.cancel()
    await asyncio.gather(leaves, return_exceptions=True)
    assert live.bell.waiting == 1
    live.wake()
    await stays
    assert live.bell.waiting == 0
