"""Records as messages."""

from __future__ import annotations

from sandbank.v1 import session_pb2

from sandbank_server.catalog.base import SessionRecord


def session_message(record: SessionRecord) -> session_pb2.Session:
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
        python_version=record.python_version,
    )
    message.create_time.FromDatetime(record.create_time)
    message.last_active_time.FromDatetime(record.last_active_time)
    unused = record.last_active_time + record.idle_timeout
    message.expire_time.FromDatetime(min(record.expire_time, unused))
    if record.last_recovery:
        message.last_recovery.ParseFromString(record.last_recovery)
    return message
