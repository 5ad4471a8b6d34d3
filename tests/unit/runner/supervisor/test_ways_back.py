"""Where to go back to when an interpreter is dead."""

from __future__ import annotations

from typing import Any

import pytest
from sandbank_runner.supervisor.effects import Effects
from sandbank_runner.supervisor.operations import Isolation, Operation, Policy, Stop, Terms
from sandbank_runner.supervisor.restore_points import WayBack
from sandbank_runner.supervisor.transactions import Transaction
from sandbank_runner.supervisor.ways_back import after_death, after_failure

EFFECTS = Effects(newest=9, state=9)


def running(base: int = 8, stop: Stop | None = None, **fields: Any) -> Operation:
    """Return one that runs."""
    one = Operation("a", b"", timeout=1.0, max_output_bytes=1, create_time=1, **fields)
    one.start(1, base, base + 1, 1)
    if stop is not None:
        one.wish(stop)
    return one


def opened(base: int = 4) -> Transaction:
    """Return an open transaction."""
    return Transaction("t", Terms(60.0), base=base, begin_time=1, expire_time=1)


MEMBER = {"transaction_id": "t"}
SAVEPOINT = {"transaction_id": "t", "policy": Policy.ROLLBACK_ON_FAILURE}


@pytest.mark.parametrize(
    ("operations", "transaction", "way"),
    [
        ([], None, WayBack(limit=9)),
        ([running()], None, WayBack(limit=8)),
        ([running(stop=Stop.TIMEOUT)], None, WayBack(limit=8)),
        (
            [running(base, isolation=Isolation.NAMESPACE) for base in (7, 5, 6)],
            None,
            WayBack(limit=5),
        ),
        ([], opened(), WayBack(limit=4)),
        ([running(**MEMBER)], opened(), WayBack(limit=4)),
        ([running(stop=Stop.CANCEL, **MEMBER)], opened(), WayBack(limit=4, exact=8)),
        ([running(**SAVEPOINT)], opened(), WayBack(limit=4, exact=8)),
        ([running(isolation=Isolation.NAMESPACE, **MEMBER)], opened(), WayBack(limit=4)),
    ],
)
def test_a_death_takes_no_more_than_it_must(
    operations: list[Operation], transaction: Transaction | None, way: WayBack
):
    """The state before what ran; in a transaction the state before that, but for what was stopped and savepoints."""
    assert after_death(operations, transaction, EFFECTS) == way


def test_a_failure_takes_the_operation_only():
    """And its whole transaction where the snapshot before it is gone: half of one is no state."""
    assert after_failure(running(policy=Policy.COMMIT_ON_SUCCESS), None).way == WayBack(limit=8, exact=8)
    assert after_failure(running(**SAVEPOINT), opened()).way == WayBack(limit=4, exact=8)
