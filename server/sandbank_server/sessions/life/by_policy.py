"""When a session's state is saved unasked: after changes or when it is idle, in the background, or before each end.

How it is saved is in ``saving``; when the background has its turn, in ``autosave``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from sandbank.v1 import execution_pb2, session_pb2, transaction_pb2

from sandbank_server.catalog.base import SessionRecord
from sandbank_server.errors import DomainError
from sandbank_server.runners.link import RunnerLink
from sandbank_server.sessions.life.saving import SessionSaving
from sandbank_server.sessions.log.entry import KEPT_EFFECT
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.log.transaction_ledger import LoggedTransaction
from sandbank_server.sessions.ports import SessionServices

_LOOK_AGAIN_SECONDS = 0.2

_TRIES = 3
"""Checkpoints made for one operation under SYNCHRONOUS, where none turns out to have its effects."""


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
        self._set_in: dict[str, list[tuple[str, str]]] = {}
        """Variables that were set in a transaction, each with the operation before it."""
        self._autosaving: asyncio.Task[None] | None = None
        if record.checkpoint_policy == session_pb2.CHECKPOINT_POLICY_SYNCHRONOUS:
            self.operations.hold_back = self._hold_back

    def _operation_finished(self, operation: execution_pb2.Operation) -> None:
        super()._operation_finished(operation)
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
        if self.record.checkpoint_policy == session_pb2.CHECKPOINT_POLICY_SYNCHRONOUS:
            await self.checkpoint("", {}, verify=False, automatic=True)
        else:
            self.state_changed()

    async def variable_set(self, name: str, operation_id: str, transaction_id: str) -> None:
        """A variable was set after an operation: a change as any other; in a transaction, once that is committed.

        As :meth:`changed_outside`.
        """
        if transaction_id:
            self._set_in.setdefault(transaction_id, []).append((name, operation_id))
            return
        log = self.operations.log
        log.set_variable(name, operation_id)
        await self.changed_outside()
        if self.record.checkpoint_policy != session_pb2.CHECKPOINT_POLICY_SYNCHRONOUS:
            return
        # While an operation runs a checkpoint may be of a moment before this. The end of that operation makes another.
        while name in log.sets_missing_in(self.record.latest_checkpoint_id):
            await self._services.clock.sleep(_LOOK_AGAIN_SECONDS)
            if not self.operations.live:
                await self.changed_outside()

    async def end_transaction(self, transaction_id: str, *, commit: bool) -> transaction_pb2.Transaction:
        """See :meth:`SessionUse.end_transaction`; what is committed is a change."""
        ended = await super().end_transaction(transaction_id, commit=commit)
        were_set = self._set_in.pop(transaction_id, [])
        if commit:
            for name, operation_id in were_set:
                self.operations.log.set_variable(name, operation_id)
            await self.changed_outside()
        return ended

    def _hold_back(self, operation: execution_pb2.Operation) -> bool:
        """Under SYNCHRONOUS: what changed the state is said to have finished once it is durable."""
        if operation.outcome not in KEPT_EFFECT:
            return False
        self._tasks.start(self._make_durable(operation.operation_id), "make durable")
        return True

    async def _make_durable(self, operation_id: str) -> None:
        """Have a checkpoint made that has an operation's effects, if no other has them by now; tell its end then."""
        warning = None
        try:
            for _ in range(_TRIES):
                await self._checkpoint("", {}, verify=False, automatic=True, unless_told=operation_id)
                if operation_id not in self.operations.held:
                    break
            else:  # it is written of a copy from before the operation, again and again
                warning = _not_durable("there was no copy of the state to write")
        except DomainError as error:
            warning = _not_durable(error.message)
        if warning is not None:
            self.operations.release(operation_id, "", warning)
        await self._thin_out()


def _not_durable(why: str) -> execution_pb2.Warning:
    return execution_pb2.Warning(code="CHECKPOINT_FAILED", message=f"not durable: {why}"[:500])
