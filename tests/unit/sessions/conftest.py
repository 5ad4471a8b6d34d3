"""What the tests of sessions share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.session_world import World, world


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[World]:
    """A manager with a pool of scripted sandboxes; at the end everything is checked, and nothing may be left."""
    async with world(tmp_path) as each:
        yield each
