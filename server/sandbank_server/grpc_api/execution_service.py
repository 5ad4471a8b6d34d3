"""ExecutionService: requests to use cases and back. Events are forwarded as the bytes that were checked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from sandbank.v1 import execution_pb2, transaction_pb2

from sandbank_server.errors import BadFieldError
from sandbank_server.grpc_api import validation as check
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.limits import RequestLimits
from sandbank_server.grpc_api.paging import PageTokens
from sandbank_server.grpc_api.run_collector import RunCollector
from sandbank_server.grpc_api.shapes import Final, ends_with_final
from sandbank_server.ids import IdFactory
from sandbank_server.sessions.live_operation import LastEvent
from sandbank_server.sessions.manager import SessionManager
from sandbank_server.sessions.submission import Submission


class ExecutionService:
    """The servicer. Interact and ProvideInput are not built yet."""

    def __init__(
        self, sessions: SessionManager, ids: IdFactory, limits: RequestLimits, tokens: PageTokens
    ) -> None:
        self._sessions = sessions
        self._ids = ids
        self._limits = limits
        self._tokens = tokens

    @ends_with_final
    async def Execute(self, request: execution_pb2.ExecuteRequest, call: CallContext) -> AsyncIterator[bytes]:
        """Run code and stream its events."""
        submission = self._submission(request, call, "")
        events = await self._sessions.execute(call.tenant, submission)
        if request.cancel_on_disconnect:
            self._cancel_when_gone(submission, call)
        async for event in events:
            yield Final(event) if isinstance(event, LastEvent) else event

    async def Run(self, request: execution_pb2.RunRequest, call: CallContext) -> execution_pb2.RunResponse:
        """Run code and answer once, with everything."""
        submission = self._submission(request.execute, call, "execute.")
        events = await self._sessions.execute(call.tenant, submission)
        if request.execute.cancel_on_disconnect:
            self._cancel_when_gone(submission, call)
        collector = RunCollector(self._limits.message_bytes)
        async for event in events:
            collector.add(event)
        return collector.response()

    def _submission(self, request: execution_pb2.ExecuteRequest, call: CallContext, path: str) -> Submission:
        check.check_id(request.session_id, f"{path}session_id")
        self._check_policy(request, path)
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

    @staticmethod
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
        asked = request.HasField("report_changes") and request.report_changes
        check.refuse_unbuilt("report_changes", asked=asked)
        check.refuse_unbuilt("allow_input", asked=request.allow_input)

    def _cancel_when_gone(self, submission: Submission, call: CallContext) -> None:
        tenant, session_id = call.tenant, submission.request.session_id
        call.on_cancelled(lambda: self._sessions.cancel_soon(tenant, session_id, submission.operation_id))

    async def WatchOperation(
        self, request: execution_pb2.WatchOperationRequest, call: CallContext
    ) -> AsyncIterator[bytes]:
        """Replay an operation's events, then follow."""
        check.check_id(request.session_id, "session_id")
        check.check_id(request.operation_id, "operation_id")
        after = check.check_count(request.after_sequence, "after_sequence", default=0, limit=2**63 - 1)
        watch = self._sessions.watch_operation(call.tenant, request.session_id, request.operation_id, after)
        async with aclosing(watch) as events:
            async for event in events:
                yield event

    async def GetOperation(
        self, request: execution_pb2.GetOperationRequest, call: CallContext
    ) -> execution_pb2.GetOperationResponse:
        """Read an operation as it is now."""
        check.check_id(request.session_id, "session_id")
        check.check_id(request.operation_id, "operation_id")
        operation = await self._sessions.get_operation(call.tenant, request.session_id, request.operation_id)
        return execution_pb2.GetOperationResponse(operation=operation)

    async def ListOperations(
        self, request: execution_pb2.ListOperationsRequest, call: CallContext
    ) -> execution_pb2.ListOperationsResponse:
        """List a page of operations, the newest first."""
        check.check_id(request.session_id, "session_id")
        size = check.check_page_size(request.page_size)
        scope = ["operations", call.tenant, request.session_id]
        before = self._tokens.read(scope, request.page_token)
        found, more = await self._sessions.list_operations(call.tenant, request.session_id, before, size)
        token = self._tokens.make(scope, more) if more else ""
        return execution_pb2.ListOperationsResponse(operations=found, next_page_token=token)

    async def CancelOperation(
        self, request: execution_pb2.CancelOperationRequest, call: CallContext
    ) -> execution_pb2.CancelOperationResponse:
        """Record the wish to end an operation."""
        check.check_id(request.session_id, "session_id")
        check.check_id(request.operation_id, "operation_id")
        operation = await self._sessions.cancel_operation(
            call.tenant, request.session_id, request.operation_id
        )
        return execution_pb2.CancelOperationResponse(operation=operation)

    async def BeginTransaction(
        self, request: execution_pb2.BeginTransactionRequest, call: CallContext
    ) -> execution_pb2.BeginTransactionResponse:
        """Begin an explicit transaction."""
        check.check_id(request.session_id, "session_id")
        idle = check.check_duration(
            request,
            "idle_timeout",
            default=self._limits.transaction_idle_timeout,
            limit=self._limits.transaction_idle_timeout_max,
        )
        transaction = await self._sessions.begin_transaction(
            call.tenant, request.session_id, idle.total_seconds(), include_files=request.include_files
        )
        return execution_pb2.BeginTransactionResponse(transaction=transaction)

    async def CommitTransaction(
        self, request: execution_pb2.CommitTransactionRequest, call: CallContext
    ) -> execution_pb2.CommitTransactionResponse:
        """Make what a transaction did part of the session's state."""
        transaction = await self._end_transaction(request, call, commit=True)
        return execution_pb2.CommitTransactionResponse(transaction=transaction)

    async def RollbackTransaction(
        self, request: execution_pb2.RollbackTransactionRequest, call: CallContext
    ) -> execution_pb2.RollbackTransactionResponse:
        """Return the session to what it was before a transaction."""
        transaction = await self._end_transaction(request, call, commit=False)
        return execution_pb2.RollbackTransactionResponse(transaction=transaction)

    async def _end_transaction(
        self,
        request: execution_pb2.CommitTransactionRequest | execution_pb2.RollbackTransactionRequest,
        call: CallContext,
        *,
        commit: bool,
    ) -> transaction_pb2.Transaction:
        check.check_id(request.session_id, "session_id")
        check.check_id(request.transaction_id, "transaction_id")
        return await self._sessions.end_transaction(
            call.tenant, request.session_id, request.transaction_id, commit=commit
        )
