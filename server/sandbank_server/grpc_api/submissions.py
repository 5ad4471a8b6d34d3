"""Requests to run code, checked: the same for Execute, Run and Interact."""

from __future__ import annotations

from sandbank.v1 import execution_pb2, transaction_pb2

from sandbank_server.errors import BadFieldError
from sandbank_server.grpc_api import validation as check
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.limits import RequestLimits
from sandbank_server.ids import IdFactory
from sandbank_server.sessions.operations.submission import Submission


class Submissions:
    """Makes submissions of requests."""

    def __init__(self, ids: IdFactory, limits: RequestLimits) -> None:
        self._ids = ids
        self._limits = limits

    def read(self, request: execution_pb2.ExecuteRequest, call: CallContext, path: str) -> Submission:
        """Return what is asked; ``path`` leads to the request in errors: ``execute.``."""
        check.check_id(request.session_id, f"{path}session_id")
        _check_policy(request, path)
        limits = self._limits
        timeout = check.check_duration(
            request,
            "timeout",
            default=limits.operation_timeout,
            limit=limits.operation_timeout_max,
            path=f"{path}timeout",
        )
        output = check.check_count(
            request.max_output_bytes,
            f"{path}max_output_bytes",
            default=limits.output_bytes,
            limit=limits.output_bytes,
        )
        check.check_code(request.code, limits.code_bytes, f"{path}code")
        operation_id = check.check_optional_id(request.operation_id, f"{path}operation_id")
        return Submission(
            request=request,
            operation_id=operation_id or self._ids.operation_id(),
            timeout=timeout.total_seconds(),
            max_output_bytes=output,
            traceparent=call.traceparent,
            transaction_idle_timeout=limits.transaction_idle_timeout.total_seconds(),
        )


def _check_policy(request: execution_pb2.ExecuteRequest, path: str) -> None:
    policy, isolation = request.tx_policy, request.isolation
    check.check_enum(policy, transaction_pb2.TxPolicy.DESCRIPTOR.values_by_number, f"{path}tx_policy")
    check.check_enum(isolation, transaction_pb2.Isolation.DESCRIPTOR.values_by_number, f"{path}isolation")
    check.check_optional_id(request.transaction_id, f"{path}transaction_id")
    savepoint = policy in (
        transaction_pb2.TX_POLICY_COMMIT_ON_SUCCESS,
        transaction_pb2.TX_POLICY_ROLLBACK_ON_FAILURE,
    )
    names_only = isolation == transaction_pb2.ISOLATION_NAMESPACE
    if names_only and request.transaction_id and savepoint:
        raise BadFieldError.at(
            f"{path}tx_policy", "in a transaction, with ISOLATION_NAMESPACE, must be EXPLICIT or unset"
        )
    if names_only and request.include_files:
        raise BadFieldError.at(f"{path}include_files", "needs ISOLATION_PROCESS")
    if request.include_files and policy <= transaction_pb2.TX_POLICY_NONE and not request.transaction_id:
        raise BadFieldError.at(f"{path}include_files", "needs a policy that can roll back")
