"""The record of a session comes into the catalog in the end, whoever goes away meanwhile."""

from __future__ import annotations

import asyncio

from tests.fakes.session_world import TENANT, World


async def test_a_save_that_nobody_waits_for_any_more_is_made_up_for(made: World) -> None:
    """It may have failed; the next tick writes what there is."""
    session = await made.create()
    made.catalog.waiting.clear()
    made.catalog.gate.clear()
    saving = asyncio.ensure_future(session.update({"a": "b"}, None, None))
    await made.catalog.waiting.wait()
    saving.cancel()
    await asyncio.gather(saving, return_exceptions=True)
    made.catalog.gate.set()
    await session.tick(made.clock.now())
    row = await made.catalog.get_session(TENANT, session.session_id)
    assert row is not None
    assert row.labels == {"a": "b"}
