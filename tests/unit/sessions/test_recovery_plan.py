"""When a recovery that fails is tried again, and when it is given up."""

from __future__ import annotations

from sandbank_server.errors import PoolDegradedError, SessionBusyError, StoreUnavailableError
from sandbank_server.sessions.recovery.plan import LONGEST_PAUSE_SECONDS, RECOVERY_ATTEMPTS, RecoveryPlan


def test_failures_in_a_row_end_it() -> None:
    """So many, and no more."""
    plan = RecoveryPlan(0.0, 100.0)
    pauses = [plan.failed(SessionBusyError("it died"), 0.0) for _ in range(RECOVERY_ATTEMPTS)]
    assert pauses[-1] is None
    assert None not in pauses[:-1]


def test_what_passes_is_waited_for_with_growing_pauses_and_a_bound() -> None:
    """A store or pool that cannot be reached counts as no failure, until the patience is over."""
    plan, now, pauses = RecoveryPlan(50.0, 60.0), 50.0, []
    for number in range(1000):
        error = StoreUnavailableError("gone") if number % 2 else PoolDegradedError("gone")
        pause = plan.failed(error, now)
        if pause is None:
            break
        pauses.append(pause)
        now += pause
    assert now == 110.0
    assert pauses == sorted(pauses[:-1]) + pauses[-1:]
    assert max(pauses) <= LONGEST_PAUSE_SECONDS
    assert len(pauses) < 20
