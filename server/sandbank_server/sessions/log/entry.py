"""What the operation log knows of one operation, and what of its end is written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sandbank.v1 import execution_pb2, transaction_pb2

_Operation = execution_pb2.Operation

KEPT_EFFECT: Final = frozenset({_Operation.OUTCOME_COMMITTED, _Operation.OUTCOME_PARTIAL})
"""Outcomes whose effects are lost when the session's state is. What is PENDING ends with its transaction."""

SUMMARY_BYTES: Final = 4096
_TYPE_NAME_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Terms:
    """What an operation was sent with, beside its code; never UNSPECIFIED. ``begins``: its transaction, too."""

    tx_policy: int = transaction_pb2.TX_POLICY_NONE
    isolation: int = transaction_pb2.ISOLATION_PROCESS
    transaction_id: str = ""
    begins: bool = False
    include_files: bool = False

    @property
    def usual(self) -> bool:
        """Whether there is nothing to remember."""
        return self == _USUAL

    def fields(self) -> dict[str, object]:
        """Return what a line of the log holds of them."""
        fields: dict[str, object] = {"p": self.tx_policy, "i": self.isolation}
        if self.transaction_id:
            fields["tx"] = self.transaction_id
        if self.begins:
            fields["b"] = self.include_files
        return fields


_USUAL: Final = Terms()


@dataclass(slots=True)
class LogEntry:
    """What the log knows of one operation. ``record`` is where its end lies in the file, -1 when it is not there.

    ``last_sequence``: that of Finished; 0 when the place is not known, because the sandbox died while the control plane
    was away.
    """

    number: int
    digest: str
    create_time_us: int
    started: bool = False
    state: _Operation.State = _Operation.STATE_PENDING
    outcome: _Operation.Outcome = _Operation.OUTCOME_UNSPECIFIED
    last_sequence: int = 0
    finished: bool = False
    record: int = -1
    before_reset: bool = False
    """The user took its effects out of the state: by a reset, or by a restore of what was before it."""
    tx_policy: int = transaction_pb2.TX_POLICY_NONE
    isolation: int = transaction_pb2.ISOLATION_PROCESS
    transaction_id: str = ""
    named: bool = False
    """The file names what it changed, at :attr:`record`."""
    rank: int = 0
    """Its place in the order in which operations finished, from 1; 0 before."""


def summarize(operation: execution_pb2.Operation) -> bytes:
    """Return what of an operation outlives its container: no result, and no text that user code wrote.

    What came from the sandbox is bounded here: only known fields of known size are taken.
    """
    summary = _Operation(
        execution_count=operation.execution_count,
        tx_policy=operation.tx_policy,
        isolation=operation.isolation,
        output_bytes=operation.output_bytes,
        dropped_output_bytes=operation.dropped_output_bytes,
    )
    for name in ("create_time", "start_time", "end_time", "usage"):
        if operation.HasField(name):
            getattr(summary, name).CopyFrom(getattr(operation, name))
    if operation.HasField("error"):
        summary.error.type_name = operation.error.type_name[:_TYPE_NAME_CHARACTERS]
    data = summary.SerializeToString()
    # Fields that nobody knows may hide in the parts that were copied.
    return data if len(data) <= SUMMARY_BYTES else b""
