"""What PoolService needs of the pools. Structural: whatever has these attributes will do."""

# ruff: noqa: D102 - the attributes are those of the public messages, described there
from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol

from sandbank_server.pool.state import PoolState, SandboxState


class PoolView(Protocol):
    """One pool as it is at one moment."""

    @property
    def template(self) -> str: ...
    @property
    def state(self) -> PoolState: ...
    @property
    def degraded_reason(self) -> str: ...
    @property
    def min_ready(self) -> int: ...
    @property
    def max_total(self) -> int: ...
    @property
    def starting_count(self) -> int: ...
    @property
    def ready_count(self) -> int: ...
    @property
    def assigned_count(self) -> int: ...
    @property
    def retiring_count(self) -> int: ...
    @property
    def waiting_count(self) -> int: ...
    @property
    def started_count(self) -> int: ...
    @property
    def failed_count(self) -> int: ...
    @property
    def start_time_p50(self) -> float:
        """Seconds; 0 while nothing was started."""


class SandboxView(Protocol):
    """One sandbox as it is at one moment."""

    @property
    def sandbox_id(self) -> str: ...
    @property
    def template(self) -> str: ...
    @property
    def state(self) -> SandboxState: ...
    @property
    def session_id(self) -> str: ...
    @property
    def create_time(self) -> datetime: ...
    @property
    def reason(self) -> str: ...


class PoolChange(Protocol):
    """Something that happened in a pool."""

    @property
    def time(self) -> datetime: ...
    @property
    def pool(self) -> PoolView: ...
    @property
    def sandbox(self) -> SandboxView | None: ...
    @property
    def message(self) -> str: ...


class Pools(Protocol):
    """All pools of this control plane."""

    def pools(self) -> Sequence[PoolView]:
        """Return all pools."""

    def sandboxes(self) -> Sequence[SandboxView]:
        """Return all sandboxes that are not GONE."""

    async def resize(self, template: str, min_ready: int | None, max_total: int | None) -> None:
        """Change the size of a pool; None: as configured. BadFieldError for sizes that contradict each other."""

    def watch(self, template: str | None) -> AsyncIterator[PoolChange]:
        """Yield the changes of one pool, or of all, from the moment of the call, not of the first step.

        Merged for a slow reader; ends when the pools close.
        """
