"""What PoolService needs of the pools."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from sandbank_server.pool.snapshots import PoolChange, PoolSnapshot, SandboxSnapshot


class Pools(Protocol):
    """All pools of this control plane."""

    def pools(self) -> Sequence[PoolSnapshot]:
        """Return all pools."""

    def sandboxes(self) -> Sequence[SandboxSnapshot]:
        """Return all sandboxes that are not GONE."""

    async def resize(self, template: str, min_ready: int | None, max_total: int | None) -> object:
        """Change the size of a pool; None: as configured. BadFieldError for sizes that contradict each other."""

    def watch(self, template: str | None) -> AsyncIterator[PoolChange]:
        """Yield the changes of one pool, or of all, from the moment of the call, not of the first step.

        Merged for a slow reader; ends when the pools close.
        """
