"""A real supervisor with a real template, in local mode, and who speaks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.control_plane import Connection, Running, supervised

Start = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Start a supervisor: with the real interpreter, or with a saboteur in its place."""

    def begin(saboteur: str | None = None, **config: Any) -> AbstractAsyncContextManager[Running]:
        if saboteur is not None:
            config = {
                "preload": ["tests.fakes.saboteurs"],
                "environment": {"SABOTEUR": saboteur},
                **config,
            }
        return supervised(tmp_path, **config)

    return begin


@pytest.fixture
async def session(start: Start) -> AsyncIterator[Connection]:
    """A session on a sandbox with the real interpreter."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(start())
        yield await sandbox.session()
