"""What the core wants done. Performing one never blocks the core: results come back as events."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sandbank_server.errors import DomainError
from sandbank_server.pool.state import SandboxRecord, SandboxState


class Level(Enum):
    """How much a notice matters to an operator."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do."""


@dataclass(frozen=True, slots=True)
class Launch(Action):
    """Start a sandbox and greet its runner → StartSucceeded or StartFailed."""

    sandbox_id: str
    image: str


@dataclass(frozen=True, slots=True)
class Greet(Action):
    """Greet the runner of a sandbox that was found → StartSucceeded or StartFailed."""

    sandbox_id: str
    session_id: str


@dataclass(frozen=True, slots=True)
class Destroy(Action):
    """End all work for the sandbox, then the sandbox → Destroyed or DestroyFailed."""

    sandbox_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class ResolveImage(Action):
    """Find or build the image → ImageReady or ImageFailed."""


@dataclass(frozen=True, slots=True)
class Offer(Action):
    """Tell a waiter that a sandbox is kept for it → OfferTaken or WaiterGone."""

    lease_id: int
    sandbox_id: str


@dataclass(frozen=True, slots=True)
class Withdraw(Action):
    """The sandbox offered is no more; the waiter waits on, at its old place in the queue."""

    lease_id: int


@dataclass(frozen=True, slots=True)
class Refuse(Action):
    """Tell a waiter that it gets none."""

    lease_id: int
    error: DomainError


@dataclass(frozen=True, slots=True)
class ReportAdopted(Action):
    """A session has its sandbox back."""

    sandbox_id: str
    session_id: str
    lease_id: int


@dataclass(frozen=True, slots=True)
class ReportLoss(Action):
    """A session has lost its sandbox."""

    sandbox_id: str
    session_id: str
    reason: str
    exit_code: int | None
    oom_killed: bool


@dataclass(frozen=True, slots=True)
class CountStart(Action):
    """A sandbox of ours became READY, this long after the decision."""

    seconds: float


@dataclass(frozen=True, slots=True)
class CountFailure(Action):
    """A sandbox of ours did not become READY."""


@dataclass(frozen=True, slots=True)
class CountLoss(Action):
    """A sandbox died that was READY or ASSIGNED (``state``)."""

    state: SandboxState
    reason: str


@dataclass(frozen=True, slots=True)
class Notice(Action):
    """Tell operators what happened: to one sandbox, or to the pool (``record`` is None)."""

    record: SandboxRecord | None
    message: str
    level: Level = Level.INFO
