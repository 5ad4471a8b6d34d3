"""What a session tells whoever measures of its checkpoints, and of what it came to."""

from __future__ import annotations

import pytest
from sandbank_server.errors import StoreUnavailableError

from tests.fakes.saved_states import SavedStates
from tests.fakes.session_world import World


@pytest.fixture
def states(made: World, monkeypatch: pytest.MonkeyPatch) -> SavedStates:
    """What the sandboxes save and load."""
    return SavedStates(made, monkeypatch)


async def test_sleeping_and_waking_are_counted(made: World, states: SavedStates) -> None:
    """With the checkpoints that were made for it, and a wake that failed."""
    session = await made.create()
    await made.run(session, "one")
    await session.checkpoint("", {}, verify=False)
    await made.run(session, "two")
    await session.hibernate()
    states.loading.errors = [StoreUnavailableError("away")]
    with pytest.raises(StoreUnavailableError):
        await session.usable()
    await session.usable()
    assert made.observed.checkpoints == ["asked", "policy"]
    assert made.observed.changes == ["hibernated", "not woken", "woken"]
