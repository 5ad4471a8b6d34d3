"""Which failed calls are tried again, when, and for how long: shared by the sync and the async client."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import tenacity

from sandbank.errors import ResourceExhausted, SandbankError, Unavailable
from sandbank.rpc import Repeat


@dataclass(frozen=True)
class RetryPolicy:
    """How patient a client is.

    `budget` bounds the seconds that one call may spend on being tried again (0: never tried again),
    `first_delay` and `longest_delay` the pauses where the server names none. A stream that breaks has a new
    budget after each event.
    """

    budget: float = 30.0
    first_delay: float = 0.05
    longest_delay: float = 2.0
    jitter: Callable[[], float] = field(default=random.random, repr=False)

    def delay(self, error: BaseException | None, attempt: int) -> float:
        """Return the seconds to wait after failure number `attempt`; the server's wish is obeyed."""
        wished = error.retry_delay if isinstance(error, SandbankError) else None
        if wished is not None:
            # A tenth on top, at random, so that those who were refused together do not come back together.
            return float(wished * (1 + 0.1 * self.jitter()))
        return float(
            min(self.longest_delay, self.first_delay * 2.0 ** min(attempt - 1, 30))
            * (0.5 + self.jitter() / 2)
        )


def may_repeat(error: BaseException, repeat: Repeat) -> bool:
    """Whether the same call may be sent again after this error.

    With a reason the error is the server's own: it recorded nothing, and RetryInfo says whether waiting
    helps. Without one the connection failed, and the server may have done it.
    """
    if not isinstance(error, (Unavailable, ResourceExhausted)):
        return False
    if error.reason:
        return error.retry_delay is not None
    return isinstance(error, Unavailable) and repeat is Repeat.ALWAYS


class Patience:
    """How often and since when something that must go on has failed without any progress in between."""

    def __init__(self, policy: RetryPolicy, clock: Callable[[], float]) -> None:
        self._policy = policy
        self._clock = clock
        self._failures = 0
        self._since: float | None = None

    def progress(self) -> None:
        """Begin anew: something came through."""
        self._failures = 0
        self._since = None

    def delay(self, error: SandbankError) -> float:
        """Return the seconds to wait before the next try; raises the error where there is to be none."""
        now = self._clock()
        self._failures += 1
        self._since = now if self._since is None else self._since
        delay = self._policy.delay(error, self._failures)
        if not may_repeat(error, Repeat.ALWAYS) or now - self._since + delay > self._policy.budget:
            raise error
        return delay


def tenacity_options(policy: RetryPolicy, repeat: Repeat) -> dict[str, Any]:
    """Return the arguments of `tenacity.Retrying` and `tenacity.AsyncRetrying` for one call."""

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        return policy.delay(error, state.attempt_number)

    return {
        "retry": tenacity.retry_if_exception(lambda error: may_repeat(error, repeat)),
        "wait": wait,
        # Before, not after: a pause that would end beyond the budget is not begun.
        "stop": tenacity.stop_before_delay(policy.budget),
        "reraise": True,
    }
