"""What can happen to a pool. Everything that the core learns comes in as one of these."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened."""


# Of callers ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AcquireRequested(Event):
    """Somebody wants a sandbox until ``deadline``; ``lease_id``, ever growing, names waiter and lease."""

    lease_id: int
    session_id: str
    deadline: float


@dataclass(frozen=True, slots=True)
class WaiterGone(Event):
    """The caller does not want it any more: cancelled, at any moment before it took the offer."""

    lease_id: int


@dataclass(frozen=True, slots=True)
class Resized(Event):
    """An operator wants other sizes."""

    min_ready: int
    max_total: int


@dataclass(frozen=True, slots=True)
class DrainRequested(Event):
    """Hand out and start nothing more; end what is READY if ``end_ready``, sessions if ``end_assigned``."""

    end_ready: bool
    end_assigned: bool


# Of one sandbox --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SandboxEvent(Event):
    """Something that happened to one sandbox."""

    sandbox_id: str


@dataclass(frozen=True, slots=True)
class OfferTaken(SandboxEvent):
    """The waiter's task has run and has the sandbox in its hand."""

    lease_id: int


@dataclass(frozen=True, slots=True)
class Confirmed(SandboxEvent):
    """The session has the sandbox: from now on the two end together."""

    lease_id: int


@dataclass(frozen=True, slots=True)
class Released(SandboxEvent):
    """Whoever had it in hand gives it back. ``used``: something may have been sent to its runner."""

    lease_id: int
    reason: str
    used: bool


@dataclass(frozen=True, slots=True)
class RetireRequested(SandboxEvent):
    """It is not needed any more, whoever has it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost(SandboxEvent):
    """It died, or nobody can reach it any more."""

    reason: str
    exit_code: int | None = None
    oom_killed: bool = False


@dataclass(frozen=True, slots=True)
class Launched(SandboxEvent):
    """Its process runs; its runner has not said Hello yet, but the engine is free for the next."""


@dataclass(frozen=True, slots=True)
class StartSucceeded(SandboxEvent):
    """It runs and its runner has said Hello."""


@dataclass(frozen=True, slots=True)
class StartFailed(SandboxEvent):
    """It could not be started, or its runner did not answer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Destroyed(SandboxEvent):
    """Nothing of it is left."""


@dataclass(frozen=True, slots=True)
class DestroyFailed(SandboxEvent):
    """Something of it may be left."""

    reason: str


@dataclass(frozen=True, slots=True)
class Found(SandboxEvent):
    """It was running at boot, ``age`` seconds old, and is worth asking.

    ``session_id``: who claims it, and gets it as lease ``lease_id``; empty and 0 when nobody does.
    """

    template: str
    image: str
    age: float
    session_id: str = ""
    lease_id: int = 0


@dataclass(frozen=True, slots=True)
class StrayFound(SandboxEvent):
    """It exists, dead or alive, and nobody should have it."""

    template: str
    reason: str


# Of the pool as a whole ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opened(Event):
    """What an earlier control plane left is known: sandboxes may be started."""


@dataclass(frozen=True, slots=True)
class RuntimeFailed(Event):
    """The runtime does not say which sandboxes there are; it is asked again in ``retry_after`` seconds."""

    reason: str
    retry_after: float


@dataclass(frozen=True, slots=True)
class ImageReady(Event):
    """Sandboxes are to be made from ``image``."""

    image: str


@dataclass(frozen=True, slots=True)
class ImageFailed(Event):
    """There is no image."""

    reason: str


@dataclass(frozen=True, slots=True)
class Tick(Event):
    """Time has passed: at or after ``next_wake``."""
