"""What a sandbox can be, and how it gets there.

STARTING  The decision is taken: the sandbox counts towards ``max_total``, whether or not anything of it is
          there yet. Sandboxes found at boot pass through it too, while their runner is being asked.
READY     Its runner has said Hello, nobody has had it. Only these are handed out.
ASSIGNED  In somebody's hand, in three steps: OFFERED to a waiter whose task has not run yet, LEASED to it,
          CONFIRMED by the session. Until it is confirmed, and if its link was never touched, it may go back
          to READY.
RETIRING  Being destroyed; it still uses memory, so it still counts. Destroying is tried until it succeeds.
GONE      Destroyed. The record is dropped; only events show this state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

HISTORY_LENGTH = 32
"""Entries of its life that a sandbox's record keeps."""


class SandboxState(Enum):
    """Where a sandbox is in its life."""

    STARTING = "starting"
    READY = "ready"
    ASSIGNED = "assigned"
    RETIRING = "retiring"
    GONE = "gone"


class PoolState(Enum):
    """How a pool is doing."""

    HEALTHY = "healthy"
    STARTING = "starting"
    DEGRADED = "degraded"
    DRAINING = "draining"


class Hold(Enum):
    """How firmly an ASSIGNED sandbox is held."""

    NONE = "none"
    OFFERED = "offered"
    LEASED = "leased"
    CONFIRMED = "confirmed"


MOVES: Mapping[SandboxState | None, frozenset[SandboxState]] = {
    None: frozenset({SandboxState.STARTING, SandboxState.RETIRING}),
    SandboxState.STARTING: frozenset({SandboxState.READY, SandboxState.ASSIGNED, SandboxState.RETIRING}),
    SandboxState.READY: frozenset({SandboxState.ASSIGNED, SandboxState.RETIRING}),
    SandboxState.ASSIGNED: frozenset({SandboxState.READY, SandboxState.RETIRING}),
    SandboxState.RETIRING: frozenset({SandboxState.GONE}),
    SandboxState.GONE: frozenset(),
}
"""Which state may follow which; ``None`` is before the record exists (a stray begins as RETIRING)."""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One thing that happened to a sandbox, at ``at`` seconds of the monotonic clock."""

    at: float
    what: str
    reason: str = ""


@dataclass(slots=True)
class SandboxRecord:
    """All that the pool knows of one sandbox. Times are monotonic seconds.

    ``lease_id`` names the hand it is in: the same sandbox offered again has another one, so a late word about
    an earlier hand-over cannot touch the present one. ``awaiting_image``: found at boot and alive, but
    whether it is made from today's image is not known before that is.
    """

    sandbox_id: str
    template: str
    created_at: float
    image: str = ""
    adopted: bool = False
    launched: bool = False
    awaiting_image: bool = False
    state: SandboxState | None = None
    ready_at: float | None = None
    reason: str = ""
    session_id: str = ""
    hold: Hold = Hold.NONE
    lease_id: int = 0
    destroying: bool = False
    destroy_attempts: int = 0
    history: deque[HistoryEntry] = field(default_factory=lambda: deque(maxlen=HISTORY_LENGTH))

    def note(self, now: float, what: str, reason: str = "") -> None:
        """Remember that something happened."""
        self.history.append(HistoryEntry(now, what, reason))

    def story(self) -> str:
        """Return its history as one line, for errors and logs."""
        return "; ".join(
            f"{entry.at:.3f} {entry.what}{f' ({entry.reason})' if entry.reason else ''}"
            for entry in self.history
        )


class InvalidTransition(Exception):
    """A fault of the pool's own: something that cannot happen did. The text carries the sandbox's history."""

    def __init__(self, record: SandboxRecord, attempted: str) -> None:
        super().__init__(f"{record.sandbox_id}: {attempted} while {record.state}; history: {record.story()}")
        self.sandbox_id = record.sandbox_id
        self.history = tuple(record.history)
