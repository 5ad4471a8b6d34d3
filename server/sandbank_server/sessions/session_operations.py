"""Operations, transactions and input, in every state of their session: of ended ones what the log knows."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog
from sandbank.v1 import execution_pb2, transaction_pb2

from sandbank_server.clock import Clock
from sandbank_server.errors import DomainError, SessionBusyError, SessionTerminatedError
from sandbank_server.sessions.life.session import Session
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.operations.answering import provide_input
from sandbank_server.sessions.operations.cursor import Cursor
from sandbank_server.sessions.operations.submission import Submission
from sandbank_server.sessions.operations.transactions import ended_as_wished
from sandbank_server.sessions.registry import SessionRegistry

_log = structlog.get_logger("sandbank.sessions")

_CANCEL_AGAIN_SECONDS = 0.2


class SessionOperations(SessionRegistry):
    """What is done with the operations of any session."""

    async def execute(self, tenant: str, submission: Submission) -> AsyncGenerator[bytes, None]:
        """Run new code, or replay what a repeated id stands for; return the events, serialized, up to Finished."""
        return (await self.follow(tenant, submission)).events()

    async def follow(self, tenant: str, submission: Submission) -> Cursor:
        """Do the same and return the place before the first of the events."""
        session_id = submission.request.session_id
        session = self._sessions.get((tenant, session_id))
        if session is not None and not session.ended:
            return await session.follow(submission)
        operations = await self._operations(tenant, session_id)
        if operations.known(submission) is None:
            raise SessionTerminatedError(f"session {session_id} has ended", resource=session_id)
        return operations.cursor(submission.operation_id, lenient=True)

    async def begin_transaction(
        self, tenant: str, session_id: str, idle_timeout: float, *, include_files: bool
    ) -> transaction_pb2.Transaction:
        """Begin a transaction. ``idle_timeout`` in seconds."""
        session = await self.usable(tenant, session_id)
        return await session.begin_transaction(idle_timeout, include_files=include_files)

    async def end_transaction(
        self, tenant: str, session_id: str, transaction_id: str, *, commit: bool
    ) -> transaction_pb2.Transaction:
        """Commit or roll back a transaction; of one that ended so already, return that one, in every state."""
        session = self._sessions.get((tenant, session_id))
        if session is not None and not session.ended:
            return await session.end_transaction(transaction_id, commit=commit)
        log = (await self._operations(tenant, session_id)).log
        if (transaction := log.transactions.get(transaction_id)) is not None and transaction.ended:
            answer = ended_as_wished(log, transaction_id, commit=commit)
            assert answer is not None
            return answer
        raise SessionTerminatedError(f"session {session_id} has ended", resource=session_id)

    async def get_operation(self, tenant: str, session_id: str, operation_id: str) -> execution_pb2.Operation:
        """Return an operation."""
        return await (await self._operations(tenant, session_id)).get(operation_id)

    async def cancel_operation(
        self, tenant: str, session_id: str, operation_id: str
    ) -> execution_pb2.Operation:
        """Record the wish to end an operation; of a finished one, return that one."""
        return await (await self._operations(tenant, session_id)).cancel(operation_id)

    async def provide_input(
        self, tenant: str, session_id: str, operation_id: str, input_id: str, text: str | None
    ) -> None:
        """Answer a question of an operation; None is the end of file (see :mod:`sessions.answering`)."""
        await provide_input(await self._operations(tenant, session_id), operation_id, input_id, text)

    def cancel_soon(self, tenant: str, session_id: str, operation_id: str) -> None:
        """Cancel an operation for somebody who does not wait for it."""
        session = self._sessions.get((tenant, session_id))
        if session is not None and not session.ended:
            session.start(_cancel(session, operation_id, self._services.clock))

    async def watch_operation(
        self, tenant: str, session_id: str, operation_id: str, after: int
    ) -> AsyncGenerator[bytes, None]:
        """Yield an operation's events after a sequence, up to Finished."""
        operations = await self._operations(tenant, session_id)
        async with aclosing(operations.watch(operation_id, after)) as events:
            async for event in events:
                yield event

    async def list_operations(
        self, tenant: str, session_id: str, before: int | None, count: int
    ) -> tuple[list[execution_pb2.Operation], int]:
        """Return up to ``count`` operations below number ``before`` (None: the newest), and the number to go on at.

        That is 0 when there are no more.
        """
        return _page((await self._operations(tenant, session_id)).log, before, count)


async def _cancel(session: Session, operation_id: str, clock: Clock) -> None:
    """Cancel an operation, also where the sandbox has to be found again first."""
    while operation_id in session.operations.live:
        await session.operations.journal.reachable.wait()
        try:
            await session.operations.cancel(operation_id)
        except SessionBusyError:
            await clock.sleep(_CANCEL_AGAIN_SECONDS)
        except DomainError as error:
            _log.warning("not cancelled after a disconnect", operation_id=operation_id, reason=error.reason)
            return
        else:
            return


def _page(log: OperationLog, before: int | None, count: int) -> tuple[list[execution_pb2.Operation], int]:
    first = len(log) if before is None else min(before, len(log))
    names = log.newest_first(first, count)
    return [log.operation(name) for name, _ in names], max(0, first - len(names))
