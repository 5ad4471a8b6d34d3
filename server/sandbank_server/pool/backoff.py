"""How long to wait before trying again, and how often failure is borne before it is called one."""

from __future__ import annotations

import random


class Backoff:
    """Exponential delays with jitter: half to all of ``base`` · 2^(attempt - 1) seconds, at most ``cap``.

    Jitter keeps several pools, and several servers on one engine, from failing in step.
    """

    def __init__(self, base: float, cap: float, rng: random.Random) -> None:
        self._base = base
        self._cap = cap
        self._rng = rng

    def delay(self, attempt: int) -> float:
        """Return the wait in seconds after failed attempt number ``attempt``, counted from 1."""
        # 2.0**1024 would overflow, and the cap is reached long before.
        whole = min(self._cap, self._base * 2.0 ** min(attempt - 1, 60))
        return whole * self._rng.uniform(0.5, 1.0)


class StartBudget:
    """How many rounds of failed starts there were, and when the next may begin.

    Sandboxes are started several at a time, and one cause fails them all: failures of starts that were
    decided before the last counted failure are the same round. A sandbox that dies young (before it was READY
    for ``stable_after`` seconds) is a failed start too, or a crash loop with a short READY in it would spin
    for ever. The budget is whole again once a start has succeeded after the last failure and ``stable_after``
    seconds went by without another.
    """

    def __init__(self, rounds: int, stable_after: float, backoff: Backoff) -> None:
        self._rounds = rounds
        self._stable_after = stable_after
        self._backoff = backoff
        self._last_failure: float | None = None
        self._proved_at: float | None = None
        self.failures = 0
        self.not_before = 0.0
        self.reason = ""

    @property
    def exhausted(self) -> bool:
        """Whether so many rounds failed that the pool counts as broken."""
        return self.failures >= self._rounds

    @property
    def whole_at(self) -> float | None:
        """When the budget will be whole again if nothing fails; None if it is, or nothing has succeeded."""
        return None if self._proved_at is None else self._proved_at + self._stable_after

    def failed(self, now: float, decided_at: float, reason: str) -> None:
        """Count the failure of a start that was decided at ``decided_at``."""
        self.reason = reason
        if self._last_failure is not None and decided_at <= self._last_failure:
            return
        self._last_failure = now
        self._proved_at = None
        self.failures += 1
        self.not_before = now + self._backoff.delay(self.failures)

    def succeeded(self, now: float, decided_at: float) -> None:
        """Count a success; only one decided after the last failure says anything about what comes."""
        if self._last_failure is not None and self._proved_at is None and decided_at > self._last_failure:
            self._proved_at = now

    def spared(self, now: float) -> None:
        """Count as a success that nothing needs to be started, or can be, while sandboxes live.

        Else a pool that shrank after a failure would stay DEGRADED for want of a start to prove the contrary.
        """
        if self._last_failure is not None and self._proved_at is None:
            self._proved_at = now

    def tick(self, now: float) -> None:
        """Make the budget whole when it is time."""
        if self.whole_at is not None and now >= self.whole_at:
            self._last_failure = self._proved_at = None
            self.failures = 0
            self.not_before = 0.0
            self.reason = ""
