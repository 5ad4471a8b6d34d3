"""A session's state as a whole, saved in checkpoints. When that happens unasked is in ``by_policy``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import structlog
from sandbank.v1 import checkpoint_pb2

from sandbank_server.catalog.base import CheckpointRecord, SessionRecord
from sandbank_server.checkpoints.library import CheckpointLibrary
from sandbank_server.checkpoints.manifest import Manifest
from sandbank_server.errors import (
    CheckpointCorruptError,
    CheckpointNotFoundError,
    DomainError,
    RequestIdReusedError,
    StoreUnavailableError,
)
from sandbank_server.runners.link import RunnerLink
from sandbank_server.sessions.life.autosave import Autosave, Saved
from sandbank_server.sessions.life.transfer import Written, load_state, write_state
from sandbank_server.sessions.life.use import SessionUse
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.ports import SessionServices
from sandbank_server.sessions.recovery.report import report_of

_LOST = checkpoint_pb2.FIDELITY_LOST
_NAMES_SHOWN = 20
_PATIENCE_SECONDS = 1.0
"""How long a checkpoint in the background waits for a moment between two operations; others wait for it meanwhile."""

_log = structlog.get_logger("sandbank.session")


class SessionSaving(SessionUse):
    """A session whose state can be saved."""

    def __init__(
        self,
        record: SessionRecord,
        services: SessionServices,
        log: OperationLog,
        secret_env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(record, services, log, secret_env)
        self._checkpointing = asyncio.Lock()
        self._autosave = Autosave(
            record.checkpoint_policy,
            Saved(self._save_automatically, self._use, self._keeper.names),
            services.clock,
            services.limits.checkpoint_core_share,
        )

    @property
    def _library(self) -> CheckpointLibrary:
        library = self._services.library
        if library is None:
            raise StoreUnavailableError("this server keeps no checkpoints")
        return library

    def _use(self) -> object:
        """Return how much the session has been used so far; None while something runs or waits in it."""
        if self.operations.live or self._uses or self._changing.locked():
            return None
        return self.record.last_active_time, self.operations.log.finished_count

    # Saving.

    async def _save_automatically(self) -> None:
        await self._checkpoint(
            "",
            {},
            verify=False,
            automatic=True,
            needed=lambda: self._autosave.unsaved,
            patience=_PATIENCE_SECONDS,
        )
        await self._thin_out()

    async def _thin_out(self) -> None:
        """Let go of all but the newest checkpoints that nobody asked for; where that fails the next one sees to it."""
        with contextlib.suppress(DomainError):
            keep = self._services.limits.keep_automatic
            await self._library.thin_out(self.record.tenant, self.session_id, keep)

    async def checkpoint(
        self, request_id: str, labels: Mapping[str, str], *, verify: bool, automatic: bool = False
    ) -> CheckpointRecord:
        """Save the state as it is committed now; return once that is durable. One at a time, in order.

        Goes through, once begun, also when the caller is cancelled. :class:`RequestIdReusedError`,
        :class:`SessionBusyError`, :class:`StoreUnavailableError`, and what :meth:`usable` raises.
        """
        await self.usable()

        async def save() -> CheckpointRecord | None:
            with self.in_use():
                return await self._checkpoint(request_id, dict(labels), verify=verify, automatic=automatic)

        saved = await self.go_through(self._tasks.start(save(), "checkpoint"))
        assert saved is not None
        return saved

    async def _checkpoint(
        self,
        request_id: str,
        labels: Mapping[str, str],
        *,
        verify: bool,
        automatic: bool,
        needed: Callable[[], bool] = lambda: True,
        patience: float = 0.0,
    ) -> CheckpointRecord | None:
        """As :meth:`checkpoint`; none, where it is no longer ``needed`` when its turn has come. It counts as no use."""
        async with self._checkpointing:
            if not needed():
                return None
            made = await self._made_before(request_id)
            if made is not None:
                return made
            link = await self.reached()
            saved = await self._save_state(
                link, request_id, labels, verify=verify, automatic=automatic, patience=patience
            )
            return await self._verify(link, saved) if verify else saved

    async def _made_before(self, request_id: str) -> CheckpointRecord | None:
        """Return the checkpoint that a request made, None where it is new. :class:`RequestIdReusedError`."""
        made = await self._library.made_by(self.record.tenant, request_id)
        if made is not None and made.session_id != self.session_id:
            raise RequestIdReusedError(
                f"request id {request_id} made a checkpoint of another session", resource=request_id
            )
        return made

    async def _save_state(
        self,
        link: RunnerLink,
        request_id: str,
        labels: Mapping[str, str],
        *,
        verify: bool,
        automatic: bool,
        patience: float = 0.0,
    ) -> CheckpointRecord:
        services, tenant = self._services, self.record.tenant
        checkpoint_id = services.ids.checkpoint_id()
        began = services.clock.monotonic()
        uploads, sets = self.operations.log.newest_upload, self.operations.log.newest_set
        changes = self._autosave.changes
        written_in, log = self.served_by, self.operations.log
        before = log.resets, log.replacements
        kept: list[CheckpointRecord] = []

        async def keep(written: Written) -> None:
            manifest = written.taken.manifest
            if log.get(written.as_of_operation_id) is None:  # the sandbox's word: no operation that is known
                written = replace(written, as_of_operation_id="")
                manifest.operation = ""
            record = CheckpointRecord(
                tenant=tenant,
                checkpoint_id=checkpoint_id,
                session_id=self.session_id,
                create_time=services.clock.now(),
                wall_time=timedelta(seconds=services.clock.monotonic() - began),
                size_bytes=manifest.size_bytes,
                new_bytes=written.taken.new_bytes,
                execution_count=manifest.execution_count,
                last_operation_id=written.as_of_operation_id,
                python_version=manifest.python,
                parent_checkpoint_id=self.record.latest_checkpoint_id,
                request_id=request_id,
                labels=labels,
                automatic=automatic,
            )
            await self._library.keep(record, manifest)
            kept.append(record)
            # It may have been left behind since it was written: reset, rewound, or gone with an interpreter.
            unknown = not written.state and (log.resets, log.replacements) != before
            left = unknown or log.resets != before[0] or log.set.is_left_out(written.state)
            if self.served_by == written_in and not left:
                await self._take_note(record, written, uploads, 0 if written.stale else sets)
                if not written.stale:
                    self._autosave.saved(changes)

        try:
            await write_state(
                link,
                self._library.chunks,
                tenant,
                checkpoint_id,
                self._find_base,
                keep,
                verify=verify,
                patience=patience,
            )
        except DomainError as error:
            services.observer.checkpoint_failed(tenant, automatic=automatic, reason=error.reason)
            raise
        seconds, new_bytes = services.clock.monotonic() - began, kept[0].new_bytes
        services.observer.checkpoint_made(tenant, automatic=automatic, seconds=seconds, new_bytes=new_bytes)
        return kept[0]

    async def _take_note(self, record: CheckpointRecord, written: Written, uploads: int, sets: int) -> None:
        """It is durable: recovery begins with it, and operations whose end waited for that are told to have ended.

        What the log says counts if all is killed now; the catalog has it, too, before anybody is told.
        """
        operations, as_of = self.operations, record.last_operation_id
        ends = operations.held.ends_up_to(as_of)
        operations.log.cover(
            as_of, record.checkpoint_id, uploads=uploads, sets=sets, sandbox_state=written.state, ends=ends
        )
        await self._change_after_log(latest_checkpoint_id=record.checkpoint_id)
        for name, _, _ in ends:
            operations.release(name, record.checkpoint_id)

    async def _change_after_log(self, **fields: object) -> None:
        """Change the record, and save it once all that is in the log stays through a power cut.

        That must not leave a row whose checkpoint has effects of operations that the log does not know, nor a log that
        leads elsewhere.
        """
        self._keeper.withhold(latest_checkpoint_id=self.record.latest_checkpoint_id)
        self._keeper.change(**fields)
        await self.operations.log.sync()
        self._keeper.catch_up()
        await self._keeper.save()

    async def _verify(self, link: RunnerLink, saved: CheckpointRecord) -> CheckpointRecord:
        """Load it in a fresh process of the sandbox, which compares."""
        manifest = await self._library.manifest(saved)
        loaded = await load_state(
            link, self._library.chunks, saved.tenant, manifest, allow_lost=False, dry_run=True
        )
        report = report_of(manifest, loaded, 0.0)
        saved_as_lost = {each.name for each in manifest.variables() if each.fidelity == _LOST}
        lost = {each.name for each in report.lost} - saved_as_lost
        differing = loaded.get("differing")
        if differing or lost:
            said = differing if isinstance(differing, list) else []
            known = lost.union(each.name for each in manifest.variables() if each.name in said)
            names = {"checkpoint_id": saved.checkpoint_id, **self._keeper.names()}
            _log.warning(
                "a checkpoint is not what was saved", variables=sorted(known)[:_NAMES_SHOWN], **names
            )
            return saved
        verified = replace(saved, verified=True)
        await self._library.update(verified)
        return verified

    async def _find_base(self, checkpoint_id: str) -> Manifest | None:
        """Return a checkpoint of this session, or the one that it began with; None for others, and where it is gone."""
        log = self.operations.log
        if not (checkpoint_id == log.origin or log.coverage.knows(checkpoint_id)):
            return None  # who asks is code of the user's: of other sessions' states it learns nothing
        try:
            record = await self._library.get(self.record.tenant, checkpoint_id)
            return await self._library.manifest(record)
        except (CheckpointCorruptError, CheckpointNotFoundError, StoreUnavailableError):
            return None
