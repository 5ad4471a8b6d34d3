"""What sessions need of the rest of the control plane."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from sandbank.v1 import execution_pb2

from sandbank_server.catalog.base import Catalog
from sandbank_server.checkpoints.library import CheckpointLibrary
from sandbank_server.clock import Clock
from sandbank_server.ids import IdFactory
from sandbank_server.runners.link import RunnerLink

HIBERNATIONS = 4
"""Idle sessions whose state is saved at once, so that they may sleep."""


class SandboxLease(Protocol):
    """A sandbox handed over, but not yet taken: see the pool's two-phase hand-over."""

    @property
    def sandbox_id(self) -> str:
        """Which."""

    @property
    def link(self) -> RunnerLink:
        """The open link to it."""

    def confirm(self) -> None:
        """The session has it."""

    async def release(self, reason: str) -> None:
        """The session does not take it."""


class SandboxSource(Protocol):
    """The pool, as a session sees it."""

    async def acquire(self, template: str, session_id: str, timeout: float | None = None) -> SandboxLease:
        """Wait for a sandbox. Raises the pool's domain errors."""

    async def retire(self, sandbox_id: str, reason: str) -> None:
        """Destroy a sandbox that served its session; returns once that is decided, not once it is done."""

    def report_lost(self, sandbox_id: str, reason: str) -> None:
        """Say that a sandbox no longer answers."""


class SessionObserver(Protocol):
    """What is measured of sessions."""

    def operation_finished(self, tenant: str, operation: execution_pb2.Operation, traceparent: str) -> None:
        """An operation ended."""

    def interpreter_crashed(self, tenant: str, reason: str) -> None:
        """An interpreter was replaced."""

    def transaction_ended(self, tenant: str, *, committed: bool, reason: str) -> None:
        """A transaction was committed or rolled back. ``reason`` may come from a sandbox."""

    def rolled_back(self, tenant: str, cause: str) -> None:
        """A session went back to an earlier state because somebody asked for that."""

    def link_lost(self, tenant: str, *, found_again: bool) -> None:
        """A link broke."""

    def checkpoint_made(self, tenant: str, *, automatic: bool, seconds: float, new_bytes: int) -> None:
        """A checkpoint is durable; ``automatic``: a policy or hibernation asked for it. ``new_bytes``: as stored."""

    def checkpoint_failed(self, tenant: str, *, automatic: bool, reason: str) -> None:
        """A checkpoint could not be made. ``reason``: of the API."""

    def came_to(self, tenant: str, what: str) -> None:
        """A session was recovered, woken or hibernated, or could not be, or has crashed."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Bounds of sessions; durations in seconds."""

    operation_queue: int = 64
    journal_bytes: int = 64 * 1024 * 1024
    journal_operations: int = 256
    interrupt_grace: float = 2.0
    workspace_copy_bytes: int = 256 * 1024 * 1024
    """What a transaction with files may keep of the workspace."""
    preview_chars: int = 200
    change_count: int = 1000
    pool_wait: float = 30.0
    idle_after: float = 60.0
    lifetime_ahead: float = 48 * 3600.0
    """How far away the end of a session may be put off."""
    readable_after_end: float = 24 * 3600.0
    keep_automatic: int = 2
    """Checkpoints kept of those that a session's policy made."""
    checkpoint_core_share: float = 0.1
    recovery_patience: float = 120.0
    """How long a recovery waits for a store, a catalog or a pool that cannot be reached."""


@dataclass(frozen=True, slots=True)
class SessionServices:
    """What every session is given."""

    pool: SandboxSource
    catalog: Catalog
    clock: Clock
    ids: IdFactory
    observer: SessionObserver
    log_directory: str
    library: CheckpointLibrary | None = None
    """None: this server keeps no checkpoints."""
    limits: SessionLimits = field(default_factory=SessionLimits)
    hibernations: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(HIBERNATIONS))
    """Idle sessions go to sleep a few at a time, however many have become idle at once."""
    on_ended: Callable[[str, str], None] = lambda _tenant, _session_id: None
