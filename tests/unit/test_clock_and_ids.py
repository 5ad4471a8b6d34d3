"""Time and ids."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from datetime import UTC

import pytest
from sandbank_server.clock import Clock, SystemClock
from sandbank_server.ids import ALPHABET, IdFactory, SecureIds

from tests.fakes.clock import ManualClock, settle
from tests.fakes.ids import CountedIds


@pytest.mark.parametrize("ids", [SecureIds(), CountedIds()])
def test_ids_have_their_prefix_and_match_the_public_rule(ids: IdFactory) -> None:
    """Clients and container names rely on the shape of an id."""
    assert re.fullmatch(r"sb-[a-z0-9]{12}", ids.sandbox_id())
    assert re.fullmatch(r"ses-[a-z0-9]{20}", ids.session_id())
    assert re.fullmatch(r"op-[a-z0-9]{20}", ids.operation_id())
    assert re.fullmatch(r"req-[a-z0-9]{20}", ids.request_id())


@pytest.mark.parametrize("ids", [SecureIds(), CountedIds()])
def test_ids_do_not_repeat(ids: IdFactory) -> None:
    """Two sandboxes with one id would be one sandbox in two hands."""
    assert len({ids.sandbox_id() for _ in range(5000)}) == 5000


def test_every_character_of_an_id_is_as_likely() -> None:
    """Or an id would be easier to guess than it looks. Taking bytes modulo 36 would make four of them 12 % likelier."""
    made = 20_000
    counts = Counter("".join(SecureIds().session_id().removeprefix("ses-") for _ in range(made)))
    assert set(counts) == set(ALPHABET)
    share = made * 20 / len(ALPHABET)
    assert all(abs(count - share) < 0.06 * share for count in counts.values())  # 6 standard deviations


def test_wall_time_is_aware_and_in_utc() -> None:
    """A naive time in a record is a wrong time for somebody."""
    assert SystemClock().now().tzinfo is UTC
    assert ManualClock().now().tzinfo is UTC


@pytest.mark.parametrize("make", [SystemClock, ManualClock])
async def test_a_cancelled_timer_does_not_call(make: type[Clock]) -> None:
    """Cancelling is idempotent and final."""
    clock = make()
    calls: list[int] = []
    timer = clock.call_later(0.0, lambda: calls.append(1))
    timer.cancel()
    timer.cancel()
    if isinstance(clock, ManualClock):
        clock.advance(1)
    await settle()
    assert calls == []


async def test_the_manual_clock_wakes_sleepers_in_order_of_time() -> None:
    """What is due first happens first, at its own time, however far the test jumps."""
    clock = ManualClock()
    seen: list[tuple[str, float]] = []
    start = clock.monotonic()
    clock.call_later(2.0, lambda: seen.append(("late", clock.monotonic() - start)))
    clock.call_later(1.0, lambda: seen.append(("early", clock.monotonic() - start)))
    sleeper = asyncio.create_task(clock.sleep(3.0))
    await settle()
    clock.advance(10.0)
    await sleeper
    assert seen == [("early", 1.0), ("late", 2.0)]
    assert clock.pending == 0
