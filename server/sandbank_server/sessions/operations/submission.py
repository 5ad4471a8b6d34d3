"""A request to run code: what decides whether it repeats another, and what of it is sent to the sandbox."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sandbank.v1 import execution_pb2, transaction_pb2
from sandbank_runner.v1 import runner_pb2

from sandbank_server.sessions.log.entry import Terms

_PLAIN_MEMBER = frozenset(
    {
        transaction_pb2.TX_POLICY_UNSPECIFIED,
        transaction_pb2.TX_POLICY_NONE,
        transaction_pb2.TX_POLICY_EXPLICIT,
    }
)
"""With a transaction all of these mean the same."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A validated request to run code. ``timeout`` and ``transaction_idle_timeout`` in seconds."""

    request: execution_pb2.ExecuteRequest
    operation_id: str
    timeout: float
    max_output_bytes: int
    traceparent: str = ""
    transaction_idle_timeout: float = 300.0

    @property
    def tx_policy(self) -> int:
        """The policy, never UNSPECIFIED; EXPLICIT for a plain member of a transaction."""
        policy = self.request.tx_policy
        if self.request.transaction_id and policy in _PLAIN_MEMBER:
            return transaction_pb2.TX_POLICY_EXPLICIT
        return policy or transaction_pb2.TX_POLICY_NONE

    @property
    def isolation(self) -> int:
        """The isolation, never UNSPECIFIED."""
        return self.request.isolation or transaction_pb2.ISOLATION_PROCESS

    @property
    def begins(self) -> bool:
        """Whether it begins a transaction of its own."""
        return (
            self.request.tx_policy == transaction_pb2.TX_POLICY_EXPLICIT and not self.request.transaction_id
        )

    @property
    def needs_snapshots(self) -> bool:
        """Whether it cannot be kept to its policy without a copy of the interpreter."""
        if self.begins:
            return True
        if self.isolation != transaction_pb2.ISOLATION_PROCESS:
            return False
        return self.tx_policy != transaction_pb2.TX_POLICY_NONE or self.request.include_files

    @property
    def report_changes(self) -> bool:
        """Whether its changes of variables are reported: unless it says that they are not wanted."""
        return self.request.report_changes or not self.request.HasField("report_changes")

    def digest(self) -> str:
        """Return what decides whether a repeated id is a repeated request: all but how the call is bound.

        What only spells out a default is the same request.
        """
        request = execution_pb2.ExecuteRequest()
        request.CopyFrom(self.request)
        request.ClearField("cancel_on_disconnect")
        request.operation_id = self.operation_id
        policy, isolation = self.tx_policy, self.isolation
        if policy == transaction_pb2.TX_POLICY_NONE or (
            request.transaction_id and policy == transaction_pb2.TX_POLICY_EXPLICIT
        ):
            request.ClearField("tx_policy")
        if isolation == transaction_pb2.ISOLATION_PROCESS:
            request.ClearField("isolation")
        if self.report_changes:
            request.ClearField("report_changes")
        return hashlib.blake2b(request.SerializeToString(deterministic=True), digest_size=16).hexdigest()

    def terms(self, transaction_id: str) -> Terms:
        """Return what the log keeps of it; ``transaction_id``: of the one that it joins or begins, or empty."""
        return Terms(self.tx_policy, self.isolation, transaction_id, self.begins, self.request.include_files)

    def message(self, terms: Terms, now: datetime) -> runner_pb2.Submit:
        """Return what is sent to the sandbox."""
        request = self.request
        message = runner_pb2.Submit(
            operation_id=self.operation_id,
            code=request.code,
            max_output_bytes=self.max_output_bytes,
            traceparent=self.traceparent,
            tx_policy=terms.tx_policy,
            isolation=terms.isolation,
            transaction_id=terms.transaction_id,
            include_files=request.include_files,
            allow_input=request.allow_input,
            report_changes=self.report_changes,
        )
        message.timeout.seconds = int(self.timeout)
        message.timeout.nanos = int(self.timeout % 1 * 1e9)
        message.create_time.seconds = int(now.timestamp())
        message.create_time.nanos = now.microsecond * 1000
        if terms.begins:
            message.begin.transaction_id = terms.transaction_id
            message.begin.include_files = request.include_files
            message.begin.idle_timeout.FromNanoseconds(int(self.transaction_idle_timeout * 1e9))
        return message
