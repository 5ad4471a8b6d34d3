"""A sample of what is told and what is not, under every policy, through the supervisor into Finished."""

from __future__ import annotations

from typing import Final

import pytest
from sandbank.v1.execution_pb2 import Operation
from sandbank.v1.transaction_pb2 import (
    ISOLATION_NAMESPACE,
    TX_POLICY_COMMIT_ON_SUCCESS,
    TX_POLICY_EXPLICIT,
    TX_POLICY_NONE,
    TX_POLICY_ROLLBACK_ON_FAILURE,
)

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Connection, seconds
from tests.unit.runner.interpreter.changes.cases import FOUND, NOT_REPORTED
from tests.unit.runner.interpreter.changes.observing import SIGNS

POLICIES: Final = {
    "NONE": {"tx_policy": TX_POLICY_NONE},
    "COMMIT_ON_SUCCESS": {"tx_policy": TX_POLICY_COMMIT_ON_SUCCESS},
    "ROLLBACK_ON_FAILURE": {"tx_policy": TX_POLICY_ROLLBACK_ON_FAILURE},
    "members of a transaction": {"tx_policy": TX_POLICY_EXPLICIT, "transaction_id": "t"},
    "NAMESPACE": {"isolation": ISOLATION_NAMESPACE},
    "NAMESPACE, without snapshots": {"isolation": ISOLATION_NAMESPACE},
    "NONE, without snapshots": {"tx_policy": TX_POLICY_NONE},
}
EVERY: Final = 11
"""The cases are in the order of what they are about: a sample has some of each."""
PROCESS_ONLY: Final = frozenset(["defaults"])
"""A namespace operation has functions of its own, which see its names: what it does to those is not the session's."""
SAMPLE: Final = [
    (name, before, code, expected)
    for number, (name, (before, code, expected)) in enumerate(FOUND.items())
    if number % EVERY == 0
] + [
    (name, before, code, "")
    for number, (name, (before, code)) in enumerate(NOT_REPORTED.items())
    if number % EVERY == 0
]
FORGET: Final = "for _ in [name for name in globals() if not name.startswith('_')]: del globals()[_]"


async def ran(session: Connection, operation_id: str, code: str, fields: dict[str, object]) -> str:
    """Run code, and return the signs and names of what it changed."""
    session.submit(operation_id, code, **fields)
    operation = await session.finished(operation_id)
    assert operation.state == Operation.STATE_SUCCEEDED, (operation_id, operation.error.traceback_text)
    return " ".join(SIGNS[change.kind] + change.name for change in operation.changes)


@pytest.mark.parametrize("policy", POLICIES)
async def test_a_sample_under_each_policy(start: Start, policy: str) -> None:
    """The same is told, whatever an operation may be rolled back to."""
    fields = POLICIES[policy]
    async with start() as sandbox:
        session = await sandbox.session(snapshots_disabled="without snapshots" in policy)
        quiet = {"report_changes": False}
        if "transaction_id" in fields:
            await ran(session, "begin", "pass", {**fields, **quiet, "begin": {
                "transaction_id": "t", "idle_timeout": seconds(600)}})  # fmt: skip
            quiet = {**fields, **quiet}
        for number, (name, before, code, expected) in enumerate(SAMPLE):
            if "isolation" in fields and name in PROCESS_ONLY:
                continue
            await ran(session, f"forget-{number}", FORGET, quiet)
            await ran(session, f"before-{number}", before, quiet)
            found = await ran(session, f"case-{number}", code, {**fields, "report_changes": True})
            assert (name, found) == (name, expected)
