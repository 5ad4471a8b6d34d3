"""When a session's state is saved unasked: after changes or when it is idle, in the background, or before each end.

How it is saved is in ``saving``; when the background has its turn, in ``autosave``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog
from sandbank.v1 import execution_pb2, session_pb2, transaction_pb2
from sandbank_runner.v1 import runner_pb2

from sandbank_server.catalog.base import SessionRecord
from sandbank_server.errors import DomainError, SandboxLostError, StoreUnavailableError
from sandbank_server.runners.link import RunnerLink
from sandbank_server.sessions.life.saving import SessionSaving
from sandbank_server.sessions.log.entry import KEPT_EFFECT
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.log.transaction_ledger import LoggedTransaction
from sandbank_server.sessions.ports import SessionServices

_log = structlog.get_logger("sandbank.session")

_TRIES = 3
"""Checkpoints made for one change under SYNCHRONOUS, where none turns out to have it."""


class SessionSavedByPolicy(SessionSaving):
    """A session whose state is saved when its policy says so."""

    def __init__(
        self,
        record: SessionRecord,
        services: SessionServices,
        log: OperationLog,
        secret_env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(record, services, log, secret_env)
        self._autosaving: asyncio.Task[None] | None = None
        if self._synchronous:
            self.operations.hold_back = self._hold_back

    @property
    def _synchronous(self) -> bool:
        return self.record.checkpoint_policy == session_pb2.CHECKPOINT_POLICY_SYNCHRONOUS

    def _operation_finished(self, operation: execution_pb2.Operation) -> None:
        super()._operation_finished(operation)
        self.operations.log.set.changed.ring()  # who waits for a checkpoint of what was set before it looks again
        if operation.outcome in KEPT_EFFECT:
            self.state_changed()
        elif operation.outcome != execution_pb2.Operation.OUTCOME_PENDING:
            self._autosave.settled()

    def _transaction_ended(self, transaction: LoggedTransaction) -> None:
        super()._transaction_ended(transaction)
        self._autosave.settled()

    def adopt(self, link: RunnerLink) -> None:
        """See :class:`SandboxSide`. What was not saved before a kill is saved now."""
        super().adopt(link)
        log, saved = self.operations.log, self.record.latest_checkpoint_id
        unsaved = not log.covered_by(saved).issuperset(log.kept_effects())
        if unsaved or log.uploads_missing_in(saved) or log.sets_missing_in(saved):
            self.state_changed()
            if self._keeper.state == session_pb2.Session.STATE_IDLE:
                self._autosave.idle()  # it does not become so once more

    def state_changed(self) -> None:
        """The state is no longer the saved one: the policy may ask for a checkpoint."""
        if not self._autosave.active:
            return
        if self._autosaving is None or self._autosaving.done():
            self._autosaving = self._tasks.start(self._autosave.run(), "autosave")
        self._autosave.changed()

    async def changed_outside(self) -> None:
        """What is no operation has changed the state: a file, a commit, a rewind, a reset.

        Under SYNCHRONOUS it returns once that is durable, and raises what :meth:`checkpoint` raises; the change stays.
        """
        if not self._synchronous:
            self.state_changed()
            return
        for _ in range(_TRIES):
            saved = await self.checkpoint("", {}, verify=False, automatic=True)
            self._tasks.start(self._thin_out(), "thin out")
            if self.operations.log.coverage.knows(saved.checkpoint_id):
                return
        raise StoreUnavailableError("the state changed under each checkpoint that was made", retry_delay=1.0)

    async def variable_set(
        self, name: str, result: runner_pb2.StateResult, transaction_id: str, served_by: tuple[str, int]
    ) -> None:
        """A variable was set: a change as any other; in a transaction, once that is committed.

        ``result``: what the sandbox says; ``served_by``: :attr:`served_by` when it was asked. As
        :meth:`changed_outside`; :class:`SandboxLostError` where the value went before that could be answered.
        """
        log = self.operations.log
        if served_by != self.served_by or log.set.is_left_out(result.state):
            raise SandboxLostError("the value was set, and went with the interpreter at once")
        if transaction_id:
            log.set_in_transaction(transaction_id, name, result.as_of_operation_id, result.state)
            return
        number = log.set_variable(name, result.as_of_operation_id, result.state)
        await self.changed_outside()
        if self._synchronous:
            await self._until_saved(name, number)

    async def _until_saved(self, name: str, number: int) -> None:
        """Return once a variable that was set is durable; a first checkpoint has been made for it.

        While an operation runs that may be of a moment before; the end of that operation makes another.
        """
        log, left = self.operations.log, _TRIES - 1
        while name in log.sets_missing_in(self.record.latest_checkpoint_id):
            if self.operations.live:
                await log.set.changed.wait()
            elif left:
                left -= 1
                await self.changed_outside()
            else:  # it is written of a copy from before, again and again
                raise StoreUnavailableError(
                    "the value is set, but not durable: there was no copy of the state to write",
                    retry_delay=1.0,
                )
        if not log.set.is_there(name, number):
            raise SandboxLostError("the value was set, and went with the state before it was durable")

    async def end_transaction(self, transaction_id: str, *, commit: bool) -> transaction_pb2.Transaction:
        """See :meth:`SessionUse.end_transaction`; what is committed is a change."""
        ended = await super().end_transaction(transaction_id, commit=commit)
        if commit:
            await self.changed_outside()
        return ended

    def _hold_back(self, operation: execution_pb2.Operation) -> bool:
        """Under SYNCHRONOUS: an operation is said to have finished once that, and what it changed, is durable."""
        kept = operation.outcome in KEPT_EFFECT
        make_durable = self._make_durable if kept else self._make_end_durable
        self._tasks.start(make_durable(operation.operation_id), "make durable")
        return True

    async def _make_end_durable(self, operation_id: str) -> None:
        """Nothing is left of what it did, or its transaction has it: a line in the log is all."""
        log, warning = self.operations.log, None
        if operation_id in self.operations.held:
            log.note_end(*self.operations.held.end_of(operation_id))
            try:
                await log.sync()
            except DomainError as error:
                warning = _not_durable(error.message)
        self.operations.release(operation_id, "", warning)

    async def _make_durable(self, operation_id: str) -> None:
        """Have a checkpoint made that has an operation's effects, if no other has them by now; tell its end then.

        It is told whatever fails. Where the effects have gone meanwhile it says that, and nothing is saved for it.
        """
        log, held, warning = self.operations.log, self.operations.held, None

        def needed() -> bool:
            return operation_id in held and not log.is_gone(operation_id)

        try:
            for _ in range(_TRIES):
                await self._checkpoint("", {}, verify=False, automatic=True, needed=needed)
                if not needed():
                    break
            else:  # it is written of a copy from before the operation, again and again
                warning = _not_durable("there was no copy of the state to write")
            if log.is_gone(operation_id):
                await log.sync()
        except DomainError as error:
            warning = _not_durable(error.message)
        except Exception:  # noqa: BLE001 - a fault of ours: whoever waits for the end must not wait for ever
            _log.exception("a checkpoint failed", **self._keeper.names())
            warning = _not_durable("the server failed over it")
        self.operations.release(operation_id, "", warning)
        await self._thin_out()


def _not_durable(why: str) -> execution_pb2.Warning:
    return execution_pb2.Warning(code="CHECKPOINT_FAILED", message=f"not durable: {why}"[:500])
