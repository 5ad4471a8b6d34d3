"""Whether sandboxes can be started at all: runtime, image, and what the last starts came to."""

from __future__ import annotations

import random

from sandbank_server.pool.backoff import Backoff, StartBudget
from sandbank_server.pool.settings import PoolSettings


class Health:
    """What stands in the way of starting sandboxes, and until when.

    The image is resolved when first needed, and again before each try of a DEGRADED pool: it may have been
    removed.
    """

    def __init__(self, settings: PoolSettings, rng: random.Random) -> None:
        backoff = Backoff(settings.backoff_base, settings.backoff_cap, rng)
        self.budget = StartBudget(settings.failure_budget, settings.stable_after, backoff)
        self._image_backoff = Backoff(settings.image_backoff_base, settings.image_backoff_cap, rng)
        self._image_failures = 0
        self._image_retry_at = 0.0
        self._image_reason = ""
        self._image_fresh = False
        self._runtime_reason = ""
        self._runtime_retry_at = 0.0
        self.image = ""
        self.resolving = False
        self.opened = False

    @property
    def problem(self) -> str:
        """Why sandboxes cannot be had, or nothing."""
        if self._runtime_reason:
            return self._runtime_reason
        if self._image_reason:
            return self._image_reason
        return self.budget.reason if self.budget.exhausted else ""

    @property
    def retry_at(self) -> float:
        """When it is tried again."""
        return max(self._runtime_retry_at, self._image_retry_at, self.budget.not_before)

    def may_resolve(self, now: float) -> bool:
        """Whether the image should be looked for, if sandboxes are wanted."""
        return not (self._image_fresh or self.resolving) and now >= max(
            self._image_retry_at, self.budget.not_before
        )

    def may_start(self, now: float) -> bool:
        """Whether a start may begin."""
        return self.opened and self._image_fresh and now >= self.budget.not_before

    def wakes(self, now: float) -> list[float]:
        """Return when something changes here of itself."""
        times = [
            self.budget.not_before,
            self.budget.whole_at,
            None if self._image_fresh else self._image_retry_at,
        ]
        return [time for time in times if time is not None and time > now]

    def tick(self, now: float) -> None:
        """Let time pass."""
        self.budget.tick(now)

    def open(self) -> None:
        """Note that the runtime has said which sandboxes there are."""
        self.opened = True
        self._runtime_reason = ""
        self._runtime_retry_at = 0.0

    def runtime_failed(self, now: float, reason: str, retry_after: float) -> None:
        """Note that the runtime does not answer."""
        self._runtime_reason = reason
        self._runtime_retry_at = now + retry_after

    def image_ready(self, image: str) -> None:
        """Note that there is an image."""
        self.image = image
        self.resolving = False
        self._image_fresh = True
        self._image_failures = 0
        self._image_retry_at = 0.0
        self._image_reason = ""

    def image_failed(self, now: float, reason: str) -> None:
        """Note that there is no image."""
        self.resolving = False
        self._image_fresh = False
        self._image_failures += 1
        self._image_retry_at = now + self._image_backoff.delay(self._image_failures)
        self._image_reason = reason

    def start_failed(self, now: float, decided_at: float, reason: str) -> None:
        """Note that a sandbox could not be started, or died young."""
        self.budget.failed(now, decided_at, reason)
        if self.budget.exhausted:
            self._image_fresh = False

    def start_succeeded(self, now: float, decided_at: float) -> None:
        """Note that a sandbox became READY."""
        self.budget.succeeded(now, decided_at)
