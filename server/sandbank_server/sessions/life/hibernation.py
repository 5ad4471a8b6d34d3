"""Hibernation: a session gives its sandbox up, with its state in a checkpoint. The way back is in ``waking``.

A hibernated session has no task, no link and no open file: it costs disk, and its record in memory.

The order makes a kill at any moment harmless: the checkpoint is durable, then the record says HIBERNATED, then the
sandbox goes. A sandbox that serves a session whose record does not name it is destroyed at the next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog
from sandbank.v1 import session_pb2

from sandbank_server.catalog.base import CheckpointRecord, SessionRecord
from sandbank_server.errors import (
    DomainError,
    SessionBusyError,
    TransactionOpenError,
)
from sandbank_server.runners.link import RunnerLink
from sandbank_server.sessions.life.waking import SessionWaking
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.ports import SessionServices

_State = session_pb2.Session
_HIBERNATED = _State.STATE_HIBERNATED
_log = structlog.get_logger("sandbank.session")

FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 3600.0
"""Between tries to hibernate an idle session that cannot be saved."""

_TRIES = 3
_NAMES_SHOWN = 20


class SessionHibernation(SessionWaking):
    """A session that can do without a sandbox."""

    def __init__(
        self,
        record: SessionRecord,
        services: SessionServices,
        log: OperationLog,
        secret_env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(record, services, log, secret_env)
        self._hibernating: asyncio.Task[None] | None = None
        self._trying: asyncio.Task[None] | None = None
        self._next_try = 0.0
        self._pause = FIRST_PAUSE_SECONDS

    async def hibernate(self) -> None:
        """Save the state and give the sandbox up. Idempotent. What could not be saved is named in ``state_detail``.

        Goes through, once begun, also when the caller is cancelled. :class:`SessionBusyError` while it is used,
        :class:`TransactionOpenError`, and what :meth:`checkpoint` raises; the session goes on as it was then.
        """
        self._check_alive()
        if self._hibernating is None or self._hibernating.done():
            self._hibernating = self._tasks.start(self._hibernate(), "hibernate")
        await self.go_through(self._hibernating)

    def hibernate_in_background(self) -> None:
        """Do the same with an idle session; where it cannot be, it is tried again later."""
        waits = self._trying is not None and not self._trying.done()
        if self.record.sandbox_id and not waits and self._services.clock.monotonic() >= self._next_try:
            self._trying = self._tasks.start(self._try_to_hibernate(), "hibernate")

    async def _try_to_hibernate(self) -> None:
        clock = self._services.clock
        async with self._services.hibernations:
            if clock.now() - self.record.last_active_time < self.record.idle_timeout:
                return  # used again while it waited for its turn
            self._next_try = clock.monotonic() + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
            try:
                await self.hibernate()
            except DomainError as error:
                self._services.observer.came_to(self._keeper.tenant, "not hibernated")
                _log.warning(
                    "an idle session was not hibernated", reason=error.message, **self._keeper.names()
                )

    async def _hibernate(self) -> None:
        async with self._checkpointing:
            """What is being saved already does not have to keep callers waiting."""
        async with self._changing, self._checkpointing:
            if self._keeper.state == _HIBERNATED:
                return
            link = self._quiet_link()
            self._open.clear()
            try:
                await self._save_and_sleep(link)
            finally:
                self._open.set()
        self._next_try, self._pause = 0.0, FIRST_PAUSE_SECONDS
        await self._thin_out()

    def _quiet_link(self) -> RunnerLink:
        """Return the link of a session that nobody uses."""
        self._check_alive()
        link = self.operations.link
        if link is None or self.operations.live or self._uses:
            raise SessionBusyError("the session is in use; try again after that", retry_delay=0.5)
        if self.operations.log.transactions.current is not None:
            raise TransactionOpenError(
                f"transaction {self.open_transaction_id} is open; commit it or roll it back first",
                resource=self.open_transaction_id,
            )
        return link

    async def _save_and_sleep(self, link: RunnerLink) -> None:
        saved = await self._save_whole(link)
        manifest = await self._library.manifest(saved)
        lost = [*manifest.lost_variables(), *manifest.lost_files()]
        sandbox_id = self.record.sandbox_id
        fields = {"state": _HIBERNATED, "state_detail": _without(lost), "sandbox_id": ""}
        # First: after a kill right now nobody must take the sandbox for this session's, which goes on elsewhere.
        try:
            await self._keeper.save_with(**fields)
            self._check_alive()
            if self.operations.link is not link:
                raise SessionBusyError("the sandbox was lost meanwhile; try again", retry_delay=0.5)
        except BaseException:
            self._keeper.stay()
            raise
        self._hang_up()
        self._keeper.change_as_saved()
        self._services.observer.came_to(self._keeper.tenant, "hibernated")
        await self._services.pool.retire(sandbox_id, "its session hibernates")
        self._rest()

    async def _save_whole(self, link: RunnerLink) -> CheckpointRecord:
        """Return a checkpoint that has all there is: one may be written of an older copy, or be left behind."""
        log = self.operations.log
        for _ in range(_TRIES):
            saved = await self._save_state(link, "", {}, verify=False, automatic=True)
            name = saved.checkpoint_id
            if not log.coverage.knows(name) or log.sets_missing_in(name):
                continue
            if log.covered_by(name).issuperset(log.kept_effects()):
                return saved
        raise SessionBusyError("there was no copy of the state of now to write; try again", retry_delay=1.0)

    def resume(self, link: RunnerLink | None) -> None:
        """See :class:`SandboxSide`."""
        super().resume(link)
        if self._keeper.state == _HIBERNATED:
            self._rest()


def _without(lost: Sequence[str]) -> str:
    """Return what a session goes to sleep without, as a sentence."""
    if not lost:
        return ""
    more = f" and {len(lost) - _NAMES_SHOWN} more" if len(lost) > _NAMES_SHOWN else ""
    return f"not saved, and lost when it wakes: {', '.join(lost[:_NAMES_SHOWN])}{more}"
