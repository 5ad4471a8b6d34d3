"""What the pool needs of the connection to a sandbox's runner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar


class Link(Protocol):
    """An open connection whose runner has said Hello. Until a sandbox is confirmed, a closed link means death."""

    @property
    def session_id(self) -> str:
        """The session that the runner said it serves; empty when none."""

    @property
    def closed(self) -> asyncio.Event:
        """Set once the connection has ended."""

    def add_close_callback(self, callback: Callable[[Any], None]) -> None:
        """Call ``callback`` with the link once the connection ends, at once when it has ended."""

    async def close(self) -> None:
        """End the connection; the sandbox runs on. Idempotent."""


LinkT = TypeVar("LinkT", bound=Link)
