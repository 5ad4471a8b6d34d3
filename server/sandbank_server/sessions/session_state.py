"""A session's state as a whole: saved in checkpoints, brought back from them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog
from sandbank.v1 import checkpoint_pb2, execution_pb2, session_pb2, transaction_pb2

from sandbank_server.catalog.base import CheckpointRecord, SessionRecord
from sandbank_server.checkpoints.library import CheckpointLibrary
from sandbank_server.checkpoints.manifest import Manifest
from sandbank_server.errors import (
    CheckpointNotFoundError,
    DomainError,
    RequestIdReusedError,
    SessionBusyError,
    StoreUnavailableError,
)
from sandbank_server.runners.checks import version_of
from sandbank_server.runners.link import RunnerLink
from sandbank_server.sessions.autosave import Autosave
from sandbank_server.sessions.cursor import Cursor
from sandbank_server.sessions.log_entry import KEPT_EFFECT
from sandbank_server.sessions.operation_log import OperationLog
from sandbank_server.sessions.ports import SessionServices
from sandbank_server.sessions.recovery import recovery_message
from sandbank_server.sessions.sandbox_side import WITHOUT_SANDBOX
from sandbank_server.sessions.session_use import SessionUse
from sandbank_server.sessions.state_transfer import Written, load_state, write_state
from sandbank_server.sessions.submission import Submission

_State = session_pb2.Session
_LOST = checkpoint_pb2.FIDELITY_LOST
_log = structlog.get_logger("sandbank.session")

RECOVERY_ATTEMPTS = 3
"""Failed recoveries in a row after which a session is left CRASHED."""

_RECOVERY_WAIT_SECONDS = 30.0


class SessionState(SessionUse):
    """A session whose state can be saved and brought back."""

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
            self._save_automatically,
            services.clock,
            services.limits.checkpoint_core_share,
            self._keeper.names,
        )
        self._autosaving = False
        self._recovering: asyncio.Task[None] | None = None
        self.restore_report: checkpoint_pb2.RestoreReport | None = None
        """Of a session that was made from a checkpoint: what came back."""
        if record.checkpoint_policy == session_pb2.CHECKPOINT_POLICY_SYNCHRONOUS:
            self.operations.hold_back = self._hold_back

    @property
    def _library(self) -> CheckpointLibrary:
        library = self._services.library
        if library is None:
            raise StoreUnavailableError("this server keeps no checkpoints")
        return library

    # Saving.

    def _operation_finished(self, operation: execution_pb2.Operation) -> None:
        super()._operation_finished(operation)
        if operation.outcome in KEPT_EFFECT:
            self.state_changed()

    def state_changed(self) -> None:
        """The state is no longer the saved one: the policy may ask for a checkpoint."""
        if not self._autosave.active:
            return
        if not self._autosaving:
            self._autosaving = True
            self._tasks.start(self._autosave.run(), "autosave")
        self._autosave.changed()

    async def changed_outside(self) -> None:
        """What is no operation has changed the state: a file, a commit, a rewind, a reset.

        Under SYNCHRONOUS it returns once that is durable, and raises what :meth:`checkpoint` raises; the change stays.
        """
        if self.record.checkpoint_policy == session_pb2.CHECKPOINT_POLICY_SYNCHRONOUS:
            await self.checkpoint("", {}, verify=False, automatic=True)
        else:
            self.state_changed()

    async def end_transaction(self, transaction_id: str, *, commit: bool) -> transaction_pb2.Transaction:
        """See :meth:`SessionUse.end_transaction`; what is committed is a change."""
        ended = await super().end_transaction(transaction_id, commit=commit)
        if commit:
            await self.changed_outside()
        return ended

    async def _save_automatically(self) -> None:
        await self._checkpoint("", {}, verify=False, automatic=True)
        keep = self._services.limits.keep_automatic
        await self._library.thin_out(self.record.tenant, self.session_id, keep)

    def _hold_back(self, operation: execution_pb2.Operation) -> bool:
        """Under SYNCHRONOUS: what changed the state is said to have finished once it is durable."""
        if operation.outcome not in KEPT_EFFECT:
            return False
        self._tasks.start(self._make_durable(operation.operation_id), "make durable")
        return True

    async def _make_durable(self, operation_id: str) -> None:
        warning = None
        checkpoint_id = ""
        try:
            saved = await self._checkpoint("", {}, verify=False, automatic=True)
            checkpoint_id = saved.checkpoint_id
        except DomainError as error:
            warning = execution_pb2.Warning(
                code="CHECKPOINT_FAILED", message=f"not durable: {error.message}"[:500]
            )
        self.operations.release(operation_id, checkpoint_id, warning)
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
        self._check_alive()
        work = self._tasks.start(
            self._checkpoint(request_id, dict(labels), verify=verify, automatic=automatic), "checkpoint"
        )
        return await asyncio.shield(work)

    async def _checkpoint(
        self, request_id: str, labels: Mapping[str, str], *, verify: bool, automatic: bool
    ) -> CheckpointRecord:
        async with self._checkpointing:
            made = await self._library.made_by(self.record.tenant, request_id)
            if made is not None:
                if made.session_id != self.session_id:
                    raise RequestIdReusedError(
                        f"request id {request_id} made a checkpoint of another session", resource=request_id
                    )
                return made
            link = await self.usable()
            with self.in_use():
                saved = await self._save_state(link, request_id, labels, verify=verify, automatic=automatic)
                if verify:
                    saved = await self._verify(link, saved)
            return saved

    async def _save_state(
        self, link: RunnerLink, request_id: str, labels: Mapping[str, str], *, verify: bool, automatic: bool
    ) -> CheckpointRecord:
        services, tenant = self._services, self.record.tenant
        checkpoint_id = services.ids.checkpoint_id()
        began = services.clock.monotonic()
        uploads = self.operations.log.newest_upload
        kept: list[CheckpointRecord] = []

        async def keep(written: Written) -> None:
            manifest = written.taken.manifest
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
            self.operations.log.cover(written.as_of_operation_id, checkpoint_id, uploads=uploads)
            self._keeper.change(latest_checkpoint_id=checkpoint_id)
            await self._keeper.save_if_possible()

        await write_state(
            link, self._library.chunks, tenant, checkpoint_id, self._find_base, keep, verify=verify
        )
        return kept[0]

    async def _verify(self, link: RunnerLink, saved: CheckpointRecord) -> CheckpointRecord:
        """Load it in a fresh process of the sandbox, which compares."""
        manifest = await self._library.manifest(saved)
        loaded = await load_state(
            link, self._library.chunks, saved.tenant, manifest, allow_lost=False, dry_run=True
        )
        report = report_of(manifest, loaded, 0.0)
        saved_as_lost = {each.name for each in manifest.variables() if each.fidelity == _LOST}
        if loaded.get("differing") or {each.name for each in report.lost} != saved_as_lost:
            return saved
        verified = replace(saved, verified=True)
        await self._library.update(verified)
        return verified

    async def _find_base(self, checkpoint_id: str) -> Manifest | None:
        """Return a checkpoint of this session, or of the one it came from, None where it is gone."""
        try:
            record = await self._library.get(self.record.tenant, checkpoint_id)
            return await self._library.manifest(record)
        except (CheckpointNotFoundError, StoreUnavailableError):
            return None

    # Bringing back.

    async def restore(self, checkpoint_id: str, *, allow_lost: bool) -> checkpoint_pb2.RestoreReport:
        """Replace the state by a checkpoint's, all or nothing; a crashed session gets a sandbox for it.

        Goes through, once begun, also when the caller is cancelled. :class:`CheckpointNotFoundError`,
        :class:`SessionBusyError` during an operation, CheckpointCorruptError, CheckpointIncompatibleError.
        """
        self._check_ended()
        work = self._tasks.start(self._restore(checkpoint_id, allow_lost=allow_lost), "restore")
        return await asyncio.shield(work)

    async def _restore(self, checkpoint_id: str, *, allow_lost: bool) -> checkpoint_pb2.RestoreReport:
        async with self._changing, self._checkpointing:
            record = await self._library.get(self.record.tenant, checkpoint_id)
            manifest = await self._library.manifest(record)
            if self.operations.live:
                raise SessionBusyError("an operation is queued or runs; try again after it", retry_delay=0.5)
            began = self._services.clock.monotonic()
            if self._keeper.state == _State.STATE_CRASHED:
                loaded = await self._restore_crashed(record, manifest, allow_lost=allow_lost)
            else:
                loaded = await self._load(await self.usable(), record, manifest, allow_lost=allow_lost)
                self._restored(record)
                await self._keeper.save_if_possible()
            seconds = self._services.clock.monotonic() - began
        self.touch()
        return report_of(manifest, loaded, seconds)

    async def _load(
        self, link: RunnerLink, record: CheckpointRecord, manifest: Manifest, *, allow_lost: bool
    ) -> dict[str, Any]:
        return await load_state(
            link,
            self._library.chunks,
            record.tenant,
            manifest,
            allow_lost=allow_lost,
            checkpoint_id=record.checkpoint_id,
        )

    # After the sandbox has died.

    def sandbox_lost(self, reason: str) -> None:
        """See :class:`SandboxSide`: with a checkpoint, and the policy for it, the session goes on from there."""
        checkpoint_id = self.record.latest_checkpoint_id
        resume = self.record.recovery_policy != session_pb2.RECOVERY_POLICY_MANUAL
        if self._keeper.state in WITHOUT_SANDBOX or not (checkpoint_id and resume and self._services.library):
            super().sandbox_lost(reason)
            return
        sandbox_id = self.record.sandbox_id
        link = self.operations.journal.detach(for_good=False)
        if link is not None:
            link.hang_up()
        self.operations.end_all(reason)
        self._end_transaction(f"the sandbox was lost: {reason}")
        log = self.operations.log
        unsaved, unsaved_files = self._unsaved_loss()
        lost = unsaved + log.lose_effects(0, log.covered_by(checkpoint_id))
        files = unsaved_files + log.lose_files(checkpoint_id)
        recovery = recovery_message(
            reason, self.record.generation + 1, self._services.clock.now(), lost, files, checkpoint_id
        )
        self._keeper.change(
            state=_State.STATE_ACTIVE,
            state_detail=f"{reason}; being recovered",
            sandbox_id="",
            last_recovery=recovery.SerializeToString(),
        )
        if sandbox_id:
            self._services.pool.report_lost(sandbox_id, reason)
        self._recovering = self._tasks.start(self._recover(recovery), "recover")

    async def follow(self, submission: Submission) -> Cursor:
        """See :meth:`SessionUse.follow`; what comes while the session is being recovered waits for that."""
        if self._recovering is not None and not self._recovering.done():
            await asyncio.wait({self._recovering}, timeout=_RECOVERY_WAIT_SECONDS)
        return await super().follow(submission)

    async def _recover(self, recovery: session_pb2.Recovery) -> None:
        began = self._services.clock.monotonic()
        for attempt in range(1, RECOVERY_ATTEMPTS + 1):
            try:
                async with self._changing:
                    await self._recover_once(recovery.from_checkpoint_id)
                break
            except DomainError as error:
                _log.warning("a recovery failed", attempt=attempt, reason=str(error), **self._keeper.names())
                detail = f"{recovery.reason}; it could not be recovered: {error}"
        else:
            self.operations.journal.detach(for_good=True)
            recovery.lost_operation_ids.extend(self.operations.log.lose_effects())
            recovery.lost_files.extend(self.operations.log.lose_files())
            recovery.from_checkpoint_id = ""
            recovery.generation = self.record.generation
            self._keeper.change(
                state=_State.STATE_CRASHED,
                state_detail=detail,
                last_recovery=recovery.SerializeToString(),
            )
        recovery.wall_time.FromMicroseconds(int((self._services.clock.monotonic() - began) * 1e6))
        self._keeper.change(last_recovery=recovery.SerializeToString())
        self.events.publish(recovery=recovery)
        await self._keeper.save_if_possible()

    async def _recover_once(self, checkpoint_id: str) -> None:
        record = await self._library.get(self.record.tenant, checkpoint_id)
        manifest = await self._library.manifest(record)
        await self._restore_crashed(record, manifest, allow_lost=False)

    def _restored(self, record: CheckpointRecord) -> None:
        """The state is now that of a checkpoint."""
        self._check_alive()
        self._end_transaction("restore")
        self.operations.log.reset()
        self.operations.log.forget_files()  # those of today were replaced by the checkpoint's
        self._keeper.change(execution_count=record.execution_count, latest_checkpoint_id=record.checkpoint_id)

    async def _restore_crashed(
        self, record: CheckpointRecord, manifest: Manifest, *, allow_lost: bool
    ) -> dict[str, Any]:
        """Restore into a fresh sandbox, which becomes the session's when it has everything."""
        loaded: dict[str, Any] = {}

        async def fill(link: RunnerLink) -> None:
            loaded.update(await self._load(link, record, manifest, allow_lost=allow_lost))

        await self._into_fresh_sandbox(
            fill, execution_count=record.execution_count, latest_checkpoint_id=record.checkpoint_id
        )
        return loaded

    async def _into_fresh_sandbox(self, fill: Any, **fields: object) -> None:
        """Take a sandbox from the pool, have ``fill(link)`` prepare it, and go on in it: generation + 1.

        Whatever fails, the sandbox is given up and the session stays as it was. Raises what pool and ``fill`` raise.
        """
        services = self._services
        lease = await services.pool.acquire(self.record.template, self.session_id, services.limits.pool_wait)
        link = await self._assign(lease)
        gone = self.record.has_secret_env and not self._secret_env
        fields = {
            "state": _State.STATE_ACTIVE,
            "state_detail": "secret_env is gone: it is kept nowhere" if gone else "",
            "sandbox_id": lease.sandbox_id,
            "generation": self.record.generation + 1,
            "execution_count": 0,
            "python_version": version_of(link.hello),
            **fields,
        }
        try:
            await fill(link)
            self.operations.log.reset()
            # Before anything can run in it: after a kill right now the sandbox must be known as this session's.
            await self._keeper.save_with(**fields)
            self._check_ended()
        except BaseException:
            link.hang_up()
            await services.pool.retire(lease.sandbox_id, "its session could not take it")
            raise
        self._keeper.change(**fields)
        self._listen_to(link)


def report_of(manifest: Manifest, loaded: Mapping[str, Any], seconds: float) -> checkpoint_pb2.RestoreReport:
    """Return what came back and what did not. ``loaded`` comes from a sandbox: only names of the manifest count."""
    said = loaded.get("lost")
    lost = {
        str(each.get("name")): str(each.get("reason"))[:500]
        for each in (said if isinstance(said, list) else [])
        if isinstance(each, dict)
    }
    report = checkpoint_pb2.RestoreReport()
    for variable in manifest.variables():
        if variable.name in lost and variable.fidelity != checkpoint_pb2.FIDELITY_LOST:
            variable.fidelity = checkpoint_pb2.FIDELITY_LOST
            variable.reason = lost[variable.name]
        if variable.fidelity == checkpoint_pb2.FIDELITY_LOST:
            report.lost.append(variable)
        elif variable.fidelity == checkpoint_pb2.FIDELITY_RECOMPUTED:
            report.recomputed.append(variable)
        else:
            report.restored_count += 1
    report.wall_time.FromMicroseconds(int(seconds * 1e6))
    return report
