"""The errors of single requests on a stream that goes on: what the unary call would have failed with, as an event."""

from __future__ import annotations

from datetime import datetime

from sandbank.v1 import execution_pb2

from sandbank_server.grpc_api.error_map import Failure


def rejection(
    failure: Failure, session_id: str, operation_id: str, index: int, now: datetime
) -> execution_pb2.OperationEvent:
    """Return the event. ``index``: which request of the stream, from 1. ``field`` in its metadata: which is wrong."""
    event = execution_pb2.OperationEvent(session_id=session_id, operation_id=operation_id)
    event.time.FromDatetime(now)
    rejected = event.rejected
    rejected.code = failure.code.value[0]
    rejected.reason = failure.reason
    rejected.message = failure.message
    rejected.metadata.update(failure.metadata)
    rejected.request_index = index
    if failure.violations:
        rejected.metadata["field"] = failure.violations[0].path
    if failure.retry_delay is not None:
        rejected.retry_delay.FromNanoseconds(int(failure.retry_delay * 1e9))
    return event
