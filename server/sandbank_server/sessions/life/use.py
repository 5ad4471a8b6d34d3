"""What a session is used for: running code, alone or in transactions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping
from typing import TypeVar

from sandbank.v1 import session_pb2, transaction_pb2

from sandbank_server.catalog.base import SessionRecord
from sandbank_server.errors import DomainError, SessionBusyError, SessionCrashedError
from sandbank_server.runners.link import RunnerLink
from sandbank_server.sessions.life.sandbox_side import SandboxSide
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.operations.cursor import Cursor
from sandbank_server.sessions.operations.submission import Submission
from sandbank_server.sessions.operations.transactions import Transactions
from sandbank_server.sessions.ports import SessionServices
from sandbank_server.sessions.views import transaction_message

_State = session_pb2.Session

_T = TypeVar("_T")

_ATTACH_SECONDS = 5.0
"""How long a call waits while a broken link is mended."""


class SessionUse(SandboxSide):
    """A session as its callers use it."""

    def __init__(
        self,
        record: SessionRecord,
        services: SessionServices,
        log: OperationLog,
        secret_env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(record, services, log, secret_env)
        self.transactions = Transactions(
            log,
            self.usable,
            services.ids.transaction_id,
            snapshots_disabled=record.snapshots_disabled,
        )

    async def usable(self, *, wake: bool = True) -> RunnerLink:
        """Return the link, waiting a moment while a broken one is mended, and count it as use of the session.

        A hibernated session is woken first; not with ``wake`` False, for who holds what waking needs. Raises
        :class:`SessionTerminatedError`, :class:`SessionCrashedError`, :class:`SessionBusyError`, and what
        :meth:`wake` raises.
        """
        if wake:
            await self.wake()
        link = await self.reached()
        self.touch()
        return link

    async def reached(self) -> RunnerLink:
        """Return the link, as :meth:`usable` without waking; it counts as no use."""
        try:
            async with asyncio.timeout(_ATTACH_SECONDS):
                while True:
                    self._check_alive()
                    link = self.operations.link
                    if link is not None:
                        return link
                    if self._keeper.state == _State.STATE_HIBERNATED:
                        raise SessionBusyError("the session goes to sleep; try again", retry_delay=0.2)
                    await self.operations.journal.reachable.wait()
        except TimeoutError:
            raise SessionBusyError("the sandbox is being looked for; try again", retry_delay=0.5) from None

    async def wake(self) -> None:
        """Return once the session has a sandbox again that it gave up. See :class:`SessionHibernation`."""

    def _check_alive(self) -> None:
        self._check_ended()
        if self._keeper.state == _State.STATE_CRASHED:
            raise SessionCrashedError(
                f"session {self.session_id} has crashed: {self.record.state_detail};"
                " restore a checkpoint, reset it or delete it",
                resource=self.session_id,
            )

    def touch(self) -> None:
        """Count as use: the idle time begins anew."""
        self._keeper.used(self._services.clock.now())
        if self._keeper.state == _State.STATE_IDLE:
            self._keeper.change(state=_State.STATE_ACTIVE)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the session from being called unused in the block, and begin its idle time after it."""
        self._uses += 1
        try:
            yield
        finally:
            self._uses -= 1
            if not self.ended:
                self.touch()

    async def execute(self, submission: Submission) -> AsyncGenerator[bytes, None]:
        """Run new code, or replay what a repeated id stands for; return its events, serialized, up to Finished."""
        return (await self.follow(submission)).events()

    async def follow(self, submission: Submission) -> Cursor:
        """Do the same and return the place before the first of its events."""
        if self.operations.known(submission) is not None:
            return self.operations.cursor(submission.operation_id, lenient=True)
        if self.operations.link is None or self._keeper.state != _State.STATE_ACTIVE:
            await self.usable()
            if self.operations.known(submission) is not None:  # by another call, meanwhile
                return self.operations.cursor(submission.operation_id, lenient=True)
        self.check_not_changing()
        self.operations.submit(submission, self.transactions.admit(submission))
        if submission.traceparent:
            self._traces[submission.operation_id] = submission.traceparent
        return self.operations.cursor(submission.operation_id)

    def check_not_changing(self) -> None:
        """Raise :class:`SessionBusyError` while the session is being reset, rewound or restored."""
        if self._changing.locked():
            raise SessionBusyError(
                "the session is being reset, rewound or restored; try again", retry_delay=0.2
            )

    # Transactions.

    async def begin_transaction(
        self, idle_timeout: float, *, include_files: bool
    ) -> transaction_pb2.Transaction:
        """Begin one, once all that was submitted before has ended.

        When the caller goes away meanwhile it is rolled back: nobody would know of it.
        """
        transaction_id = self._services.ids.transaction_id()
        work = self._tasks.start(self._begin(transaction_id, idle_timeout, include_files), "begin")
        try:
            await self.go_through(work)
        except asyncio.CancelledError:
            if not work.cancelled():
                self._tasks.start(self._roll_back_after(work, transaction_id), "roll back")
            raise
        transaction = self.operations.log.transactions.get(transaction_id)
        assert transaction is not None
        return transaction_message(self.operations.log, transaction)

    async def _begin(self, transaction_id: str, idle_timeout: float, include_files: bool) -> None:
        link = await self.usable()
        # Nothing waits from here until it is sent: a reset that is sent first must not find it in the log already.
        self.check_not_changing()
        await self.transactions.open(link, transaction_id, idle_timeout, include_files=include_files)

    async def _roll_back_after(self, opening: asyncio.Task[None], transaction_id: str) -> None:
        await asyncio.gather(opening, return_exceptions=True)
        with contextlib.suppress(DomainError):
            await self.transactions.end(transaction_id, commit=False)

    async def end_transaction(self, transaction_id: str, *, commit: bool) -> transaction_pb2.Transaction:
        """Commit or roll back one, once its running operations have ended. Idempotent.

        Goes through, once begun, also when the caller is cancelled.
        """
        ended = self.transactions.answer(transaction_id, commit=commit)
        while ended is None:
            await self.go_through(
                self._tasks.start(self.transactions.end(transaction_id, commit=commit), "end")
            )
            ended = self.transactions.answer(transaction_id, commit=commit)
        return ended

    async def go_through(self, work: asyncio.Task[_T]) -> _T:
        """Wait for work that goes on when the caller is cancelled; :class:`SessionTerminatedError` at its end."""
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if work.cancelled() and task is not None and not task.cancelling():
                self._check_ended()  # it was the session's end that cancelled it, and nobody else
            raise

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Do something for this session whoever waits for it; it ends with the session at the latest."""
        return self._tasks.start(work, "call")
