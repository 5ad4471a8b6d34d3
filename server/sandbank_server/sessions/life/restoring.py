"""A session's state as a whole, brought back from a checkpoint: all or nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from sandbank.v1 import checkpoint_pb2, session_pb2

from sandbank_server.catalog.base import CheckpointRecord, SessionRecord
from sandbank_server.checkpoints.manifest import Manifest
from sandbank_server.errors import SessionBusyError, TooLargeError, WorkspaceFullError
from sandbank_server.runners.checks import version_of
from sandbank_server.runners.link import RunnerLink
from sandbank_server.sessions.life.by_policy import SessionSavedByPolicy
from sandbank_server.sessions.life.sandbox_side import WITHOUT_SANDBOX
from sandbank_server.sessions.life.transfer import load_state
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.log.planned_move import PlannedMove
from sandbank_server.sessions.ports import SessionServices
from sandbank_server.sessions.recovery.report import report_of

_State = session_pb2.Session
_log = structlog.get_logger("sandbank.session")

Fill = Callable[[RunnerLink], Awaitable[None]]
"""Prepares a sandbox for a session."""


class SessionRestoring(SessionSavedByPolicy):
    """A session whose state can be brought back."""

    def __init__(
        self,
        record: SessionRecord,
        services: SessionServices,
        log: OperationLog,
        secret_env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(record, services, log, secret_env)
        self.restore_report: checkpoint_pb2.RestoreReport | None = None
        """Of a session that was made from a checkpoint: what came back."""
        self._coming_from = ""
        """While it is changed: the checkpoint that it is brought back from."""

    @property
    def needed_checkpoints(self) -> tuple[str, ...]:
        """What it would be brought back from, also after a kill right now, and what it just is; some may be empty."""
        coming_from = self._coming_from if self._changing.locked() else ""
        in_row = str(self._keeper.withheld.get("latest_checkpoint_id", ""))
        return self.record.latest_checkpoint_id, in_row, coming_from

    async def restore(
        self, checkpoint_id: str, *, allow_lost: bool, pristine: bool = False
    ) -> checkpoint_pb2.RestoreReport:
        """Replace the state by a checkpoint's, all or nothing; a crashed session gets a sandbox for it.

        Where a sandbox cannot hold both states at once the session goes on in another one. ``pristine``: there is no
        state yet, so that another could not hold more. Goes through, once begun, also when the caller is cancelled.
        :class:`CheckpointNotFoundError`, :class:`SessionBusyError` during an operation, CheckpointCorruptError,
        CheckpointIncompatibleError, :class:`TooLargeError`, :class:`WorkspaceFullError`, and what the pool raises.
        """
        self._check_ended()
        work = self._tasks.start(
            self._restore(checkpoint_id, allow_lost=allow_lost, pristine=pristine), "restore"
        )
        return await self.go_through(work)

    async def _restore(
        self, checkpoint_id: str, *, allow_lost: bool, pristine: bool
    ) -> checkpoint_pb2.RestoreReport:
        async with self._changing, self._checkpointing:
            self._coming_from = (
                checkpoint_id  # before it is looked for: it is there and stays, or is not found
            )
            record = await self._library.get(self.record.tenant, checkpoint_id)
            manifest = await self._library.manifest(record)
            if self.operations.live:
                raise SessionBusyError("an operation is queued or runs; try again after it", retry_delay=0.5)
            began = self._services.clock.monotonic()
            if self._keeper.state in WITHOUT_SANDBOX:
                loaded = await self._restore_elsewhere(record, manifest, allow_lost=allow_lost)
            else:
                loaded = await self._restore_here(record, manifest, allow_lost=allow_lost, pristine=pristine)
            seconds = self._services.clock.monotonic() - began
        self.touch()
        return report_of(manifest, loaded, seconds)

    async def _restore_here(
        self, record: CheckpointRecord, manifest: Manifest, *, allow_lost: bool, pristine: bool
    ) -> dict[str, Any]:
        """Restore beside the state of now, or, where not both fit, in a sandbox of its own."""
        try:
            loaded = await self._load(await self.usable(wake=False), record, manifest, allow_lost=allow_lost)
        except (TooLargeError, WorkspaceFullError) as error:
            if pristine:
                raise
            _log.info("a restore goes to another sandbox", reason=error.message, **self._keeper.names())
            return await self._restore_elsewhere(record, manifest, allow_lost=allow_lost)
        await self._restored(record)
        return loaded

    async def _load(
        self, link: RunnerLink, record: CheckpointRecord, manifest: Manifest, *, allow_lost: bool
    ) -> dict[str, Any]:
        known = self.operations.log.get(manifest.operation) is not None  # it may be another session's
        return await load_state(
            link,
            self._library.chunks,
            record.tenant,
            manifest,
            allow_lost=allow_lost,
            checkpoint_id=record.checkpoint_id,
            operation_id=manifest.operation if known else "",
        )

    async def _restored(self, record: CheckpointRecord) -> None:
        """The state is now that of a checkpoint; return once that is saved."""
        self._check_alive()
        self._end_transaction("restore")
        self.operations.log.go_back(record.checkpoint_id, record.execution_count)
        await self._change_after_log(
            execution_count=record.execution_count, latest_checkpoint_id=record.checkpoint_id
        )

    async def _restore_elsewhere(
        self,
        record: CheckpointRecord,
        manifest: Manifest,
        *,
        allow_lost: bool,
        losing: bool = False,
        tell: Callable[[dict[str, Any]], dict[str, object]] = lambda _loaded: {},
    ) -> dict[str, Any]:
        """Restore into a fresh sandbox, which becomes the session's when it has everything.

        ``losing``: nobody asked for that, so effects that are not in the checkpoint are lost. ``tell`` returns fields
        of the record that say what was loaded.
        """
        loaded: dict[str, Any] = {}
        template = self.record.template

        async def fill(link: RunnerLink) -> None:
            try:
                loaded.update(await self._load(link, record, manifest, allow_lost=allow_lost))
            except TooLargeError as error:
                raise TooLargeError(
                    f"a sandbox of template {template} has not enough memory for the checkpoint's state;"
                    " the session is as it was"
                ) from error

        await self._into_fresh_sandbox(
            fill,
            PlannedMove(
                self.record.generation + 1, record.checkpoint_id, record.execution_count, losing=losing
            ),
            lambda: {
                "execution_count": record.execution_count,
                "latest_checkpoint_id": record.checkpoint_id,
                **tell(loaded),
            },
        )
        return loaded

    async def _into_fresh_sandbox(
        self, fill: Fill, planned: PlannedMove, tell: Callable[[], dict[str, object]]
    ) -> None:
        """Take a sandbox from the pool, have ``fill(link)`` prepare it, and go on in it: generation + 1.

        Whatever fails, the sandbox is given up and the session stays as it was, in the sandbox that it has, if any;
        when nothing fails, that one is given up. ``planned`` tells the log which state the session has then, ``tell``,
        called when it has, what is in its record. Raises what pool, log and ``fill`` raise.
        """
        services = self._services
        lease = await services.pool.acquire(self.record.template, self.session_id, services.limits.pool_wait)
        link = await self._assign(lease)
        gone = self.record.has_secret_env and not self._secret_env
        fields = {
            "state": _State.STATE_ACTIVE,
            "state_detail": "secret_env is gone: it is kept nowhere" if gone else "",
            "sandbox_id": lease.sandbox_id,
            "generation": planned.generation,
            "execution_count": 0,
            "python_version": version_of(link.hello),
        }
        try:
            await fill(link)
            self._check_ended()
            self.operations.log.plan_move(planned)
            await self.operations.log.sync()
            # Before anything can run in it: after a kill right now the sandbox must be known as this session's.
            await self._keeper.save_with(**{**fields, **tell()})
            self._check_ended()
        except BaseException:
            self._keeper.stay()
            link.hang_up()
            await services.pool.retire(lease.sandbox_id, "its session could not take it")
            raise
        left = self.record.sandbox_id
        self._leave(planned.generation)
        self._keeper.change_as_saved()
        self._listen_to(link)
        if left:
            await services.pool.retire(left, "its session went on in another one")

    def _leave(self, generation: int) -> None:
        """Let go of the sandbox of before; from now on the log is that of the next one."""
        link = self.operations.journal.detach(for_good=False)
        if link is not None:
            link.hang_up()
        self._end_transaction("restore")
        self.operations.log.move(generation)
