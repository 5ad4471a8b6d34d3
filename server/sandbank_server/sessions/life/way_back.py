"""A session whose interpreter has died for good: a checkpoint may have more than the snapshot that was woken.

The supervisor takes the newest snapshot there is, which can be older than the newest checkpoint; or there is none, and
it begins afresh. Then the sandbox is given up, and the session is recovered as if that had died.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from sandbank.v1 import execution_pb2
from sandbank_runner.v1 import runner_pb2

from sandbank_server.catalog.base import SessionRecord
from sandbank_server.runners.checks import reason_of
from sandbank_server.runners.link import RunnerLink
from sandbank_server.sessions.life.recovering import SessionRecovery
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.operations.mirror import sets_gone_with
from sandbank_server.sessions.ports import SessionServices


class SessionWayBack(SessionRecovery):
    """A session that never goes on with less than it has saved."""

    def __init__(
        self,
        record: SessionRecord,
        services: SessionServices,
        log: OperationLog,
        secret_env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(record, services, log, secret_env)
        self._better_saved = "", ""
        """The operation that an interpreter died under whose state a checkpoint has, and why it died."""

    def on_interpreter_replaced(self, replaced: runner_pb2.InterpreterReplaced) -> None:
        """See :class:`LinkSink`. Where a checkpoint has more than the snapshot that was woken, that is the way back."""
        if not self._costs_what_is_saved(replaced):
            super().on_interpreter_replaced(replaced)
        elif replaced.operation_id in self.operations.live:
            self._better_saved = replaced.operation_id, reason_of(replaced.reason)
        else:
            self.sandbox_lost(reason_of(replaced.reason))

    def _operation_finished(self, operation: execution_pb2.Operation) -> None:
        super()._operation_finished(operation)
        name, reason = self._better_saved
        if name == operation.operation_id:
            self._better_saved = "", ""
            # Not while its end is being taken in.
            asyncio.get_running_loop().call_soon(self._lose, self.record.sandbox_id, reason)

    def _lose(self, sandbox_id: str, reason: str) -> None:
        if self.record.sandbox_id == sandbox_id:
            self.sandbox_lost(reason)

    def _costs_what_is_saved(self, replaced: runner_pb2.InterpreterReplaced) -> bool:
        """Whether the newest checkpoint has effects that went with an interpreter, not because that was asked for."""
        log, newest = self.operations.log, self.record.latest_checkpoint_id
        if not newest or self._services.library is None or (replaced.rewound and not replaced.state_lost):
            return False
        if replaced.state_lost and log.origin:
            return True
        gone = log.kept_effects() if replaced.state_lost else replaced.lost_operation_ids
        entries = (log.get(name) for name in gone)
        unsaved = log.sets_missing_in(newest)
        sets = sets_gone_with(log, replaced) if replaced.newest_state or replaced.state_lost else []
        return not set(sets).issubset(unsaved) or any(
            each is not None and not each.before_reset and log.coverage.has(newest, each.rank)
            for each in entries
        )

    def _adopt_or_lose(self, link: RunnerLink) -> None:
        log, told = self.operations.log, link.hello.replacements
        known = log.replacements if self.record.generation <= max(log.generation, 1) else 0
        for replaced in told:
            if replaced.number > known and self._costs_what_is_saved(replaced):
                link.hang_up()
                self.sandbox_lost(reason_of(replaced.reason))
                return
        super()._adopt_or_lose(link)
