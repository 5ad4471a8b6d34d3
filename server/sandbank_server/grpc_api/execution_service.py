"""ExecutionService: requests to use cases and back. Events are forwarded as the bytes that were checked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from sandbank.v1 import execution_pb2, transaction_pb2

from sandbank_server.grpc_api import validation as check
from sandbank_server.grpc_api.answers import answer
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.dialogue import Dialogue, is_dialogue
from sandbank_server.grpc_api.interact import Interaction
from sandbank_server.grpc_api.limits import RequestLimits
from sandbank_server.grpc_api.paging import PageTokens
from sandbank_server.grpc_api.run_collector import RunCollector
from sandbank_server.grpc_api.shapes import Final, ends_with_final
from sandbank_server.grpc_api.submissions import Submissions
from sandbank_server.ids import IdFactory
from sandbank_server.sessions.manager import SessionManager
from sandbank_server.sessions.operations.cursor import Cursor
from sandbank_server.sessions.operations.live_operation import LastEvent
from sandbank_server.sessions.operations.submission import Submission


class ExecutionService:
    """The servicer."""

    def __init__(
        self, sessions: SessionManager, ids: IdFactory, limits: RequestLimits, tokens: PageTokens
    ) -> None:
        self._sessions = sessions
        self._submissions = Submissions(ids, limits)
        self._limits = limits
        self._tokens = tokens

    @ends_with_final
    async def Execute(self, request: execution_pb2.ExecuteRequest, call: CallContext) -> AsyncIterator[bytes]:
        """Run code and stream its events."""
        submission = self._submissions.read(request, call, "")
        cursor = await self._sessions.follow(call.tenant, submission)
        try:
            while batch := await cursor.batch():
                for event in batch:
                    yield Final(event) if isinstance(event, LastEvent) else event
        finally:
            self._left(cursor, submission, call)

    async def Run(self, request: execution_pb2.RunRequest, call: CallContext) -> execution_pb2.RunResponse:
        """Run code and answer once, with everything."""
        submission = self._submissions.read(request.execute, call, "execute.")
        cursor = await self._sessions.follow(call.tenant, submission)
        collector = RunCollector(self._limits.message_bytes)
        try:
            while batch := await cursor.batch():
                for event in batch:
                    collector.add(event)
        finally:
            self._left(cursor, submission, call)
        return collector.response()

    def _left(self, cursor: Cursor, submission: Submission, call: CallContext) -> None:
        """Cancel an operation where its call ends before it does, however that ends, if that is wished."""
        if submission.request.cancel_on_disconnect and not cursor.ended:
            self._sessions.cancel_soon(call.tenant, submission.request.session_id, submission.operation_id)

    @is_dialogue
    async def Interact(self, dialogue: Dialogue[execution_pb2.InteractRequest], call: CallContext) -> None:
        """Run code, answer and cancel, all on one stream."""
        await Interaction(self._sessions, self._submissions, dialogue, call).run()

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

    async def ProvideInput(
        self, request: execution_pb2.ProvideInputRequest, call: CallContext
    ) -> execution_pb2.ProvideInputResponse:
        """Answer a question of an operation."""
        check.check_id(request.session_id, "session_id")
        await answer(self._sessions, request, call, "")
        return execution_pb2.ProvideInputResponse()

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
