"""How large a pool is, and how patient."""

from __future__ import annotations

from dataclasses import dataclass

from sandbank_server.errors import BadFieldError


@dataclass(frozen=True, slots=True)
class PoolSizes:
    """The sizes of one pool. Counts of sandboxes, but ``max_waiting``: callers that may queue.

    ``max_total`` bounds all sandboxes from the decision to start one until it is destroyed; ``max_starting``
    how many the runtime starts at once, and how many more may be booting: enough to keep the engine busy, few
    enough to leave the machine to the sessions. Raises :class:`BadFieldError` for sizes that contradict each
    other.
    """

    min_ready: int
    max_total: int
    max_starting: int = 4
    max_waiting: int = 1000

    def __post_init__(self) -> None:
        if self.min_ready < 0:
            raise BadFieldError.at("min_ready", "must not be negative")
        if self.max_total < 1:
            raise BadFieldError.at("max_total", "must be at least 1")
        if self.min_ready > self.max_total:
            raise BadFieldError.at("min_ready", f"must not be more than max_total ({self.max_total})")
        if self.max_starting < 1:
            raise BadFieldError.at("max_starting", "must be at least 1")
        if self.max_waiting < 0:
            raise BadFieldError.at("max_waiting", "must not be negative")


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """The times and bounds that all pools share; times in seconds.

    acquire_timeout: how long a caller waits for a sandbox unless it says otherwise.
    start_deadline: from the decision to start a sandbox until its runner has said Hello.
    greet_deadline: the same for a sandbox found at boot that a session claims: its runner has long been up, and the
        service does not listen before its sessions are there.
    lease_deadline: how long a sandbox may be handed over without the session confirming that it has it.
    destroy_deadline: after which a destroy counts as failed and is tried again.
    max_destroying: destroys at once, apart from ``max_starting``, so that neither waits for the other.
    failure_budget: rounds of failed starts before the pool is DEGRADED.
    stable_after: how long started sandboxes must live without a failure before the budget is whole again.
    backoff_base, backoff_cap: wait after the first failed round, and at most.
    image_backoff_base, image_backoff_cap: the same for builds of the image, which cost more.
    quiet_time, quiet_limit: refilling waits for this long a pause between acquisitions, but never longer than
        the limit, nor when nothing is ready or somebody waits: starting containers takes the processors that
        a burst of acquisitions needs.
    surplus_after: how long more than ``min_ready`` may be ready before the rest is destroyed.
    reconcile_interval: how often the runtime is asked which sandboxes there are.
    drain_timeout: how long draining waits for starts and destroys to end.
    """

    acquire_timeout: float = 30.0
    start_deadline: float = 60.0
    greet_deadline: float = 20.0
    lease_deadline: float = 60.0
    destroy_deadline: float = 30.0
    max_destroying: int = 8
    failure_budget: int = 3
    stable_after: float = 10.0
    backoff_base: float = 0.5
    backoff_cap: float = 30.0
    image_backoff_base: float = 5.0
    image_backoff_cap: float = 300.0
    quiet_time: float = 0.1
    quiet_limit: float = 0.4
    surplus_after: float = 60.0
    reconcile_interval: float = 10.0
    drain_timeout: float = 30.0
