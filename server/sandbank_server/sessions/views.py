"""Records as messages."""

from __future__ import annotations

from typing import Final, cast

from sandbank.v1 import execution_pb2, session_pb2, transaction_pb2

from sandbank_server.catalog.base import SessionRecord
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.log.transaction_ledger import LoggedTransaction
from sandbank_server.sessions.recovery.deaths import newest_names

_NOT_STARTED: Final = execution_pb2.Operation.OUTCOME_NOT_STARTED


def session_message(record: SessionRecord, open_transaction_id: str = "") -> session_pb2.Session:
    """Return a session as clients see it: no environment, secret or not."""
    message = session_pb2.Session(
        session_id=record.session_id,
        sandbox_id=record.sandbox_id,
        template=record.template,
        state=record.state,  # type: ignore[arg-type]
        state_detail=record.state_detail,
        execution_count=record.execution_count,
        generation=record.generation,
        labels=record.labels,
        open_transaction_id=open_transaction_id,
        latest_checkpoint_id=record.latest_checkpoint_id,
        python_version=record.python_version,
    )
    message.create_time.FromDatetime(record.create_time)
    message.last_active_time.FromDatetime(record.last_active_time)
    unused = record.last_active_time + record.idle_timeout
    ends_unused = (
        record.idle_action == session_pb2.IDLE_ACTION_TERMINATE
        and record.state != session_pb2.Session.STATE_HIBERNATED
    )
    message.expire_time.FromDatetime(min(record.expire_time, unused) if ends_unused else record.expire_time)
    if record.last_recovery:
        message.last_recovery.ParseFromString(record.last_recovery)
    return message


def transaction_message(log: OperationLog, transaction: LoggedTransaction) -> transaction_pb2.Transaction:
    """Return a transaction as clients see it, with the operations that ran in it; of very many the newest."""
    ran = [
        name
        for name in transaction.members
        if (entry := log.get(name)) is not None and entry.outcome != _NOT_STARTED
    ]
    message = transaction_pb2.Transaction(
        transaction_id=transaction.transaction_id,
        session_id=log.session_id,
        state=cast("transaction_pb2.Transaction.State", transaction.state),
        operation_ids=newest_names(ran)[0],
        include_files=transaction.include_files,
    )
    message.begin_time.FromMicroseconds(transaction.begin_time_us)
    message.expire_time.FromMicroseconds(transaction.expire_time_us)
    return message
