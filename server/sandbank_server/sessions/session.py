"""One session: its record, the sandbox that serves it, and what happens when either ends.

A session is used from the event loop only. Deciding is synchronous; what must wait (a reset, a new sandbox) holds
``_changing``, so that two of them never interleave. Its end does not wait for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import structlog
from sandbank.v1 import execution_pb2, session_pb2
from sandbank_runner.v1 import runner_pb2

from sandbank_server.catalog.base import SessionRecord
from sandbank_server.errors import (
    SandboxLostBeforeStartError,
    SessionBusyError,
    SessionCrashedError,
    SessionTerminatedError,
    StoreUnavailableError,
)
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.runners.link import LinkClosed, RequestFailed, RunnerLink
from sandbank_server.sessions.operation_log import OperationLog
from sandbank_server.sessions.operations import Operations, Submission
from sandbank_server.sessions.ports import SandboxLease, SessionServices
from sandbank_server.sessions.reattach import find_again
from sandbank_server.sessions.session_events import SessionEvents
from sandbank_server.sessions.states import check_transition
from sandbank_server.sessions.views import session_message

_State = session_pb2.Session
_log = structlog.get_logger("sandbank.session")

_ATTACH_SECONDS = 5.0
"""How long a call waits while a broken link is mended."""


class Session:
    """A session that has not ended. Implements :class:`~sandbank_server.runners.link.LinkSink`."""

    def __init__(
        self,
        record: SessionRecord,
        services: SessionServices,
        log: OperationLog,
        secret_env: Mapping[str, str] | None = None,
    ) -> None:
        self._record = record
        self._last_active: datetime | None = None
        self._execution_count = record.execution_count
        self.operations = Operations(
            record.session_id,
            log,
            services.limits.operation_queue,
            services.clock.now,
            self._operation_finished,
        )
        first = max(record.event_sequence, int(services.clock.now().timestamp() * 1e6))
        self.events = SessionEvents(first, services.clock.now)
        self._services = services
        self._secret_env = dict(secret_env or {})
        self._link: RunnerLink | None = None
        self._linked = asyncio.Event()
        self._changing = asyncio.Lock()
        self._dirty = False
        self._traces: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # Reading.

    @property
    def record(self) -> SessionRecord:
        """The record as it is now. What each use changes is kept beside it until somebody looks."""
        if self._last_active is not None:
            self._record = replace(
                self._record, last_active_time=self._last_active, execution_count=self._execution_count
            )
            self._last_active = None
        return self._record

    @property
    def session_id(self) -> str:
        """Its id."""
        return self._record.session_id

    @property
    def ended(self) -> bool:
        """Whether it is terminated."""
        return self.record.state == _State.STATE_TERMINATED

    def view(self) -> session_pb2.Session:
        """Return it as clients see it."""
        return session_message(self.record)

    def watch(self, after: int) -> AsyncIterator[session_pb2.SessionEvent]:
        """Yield its events (see :meth:`SessionEvents.watch`)."""
        return self.events.watch(after, self.view)

    # A sandbox comes.

    async def take(self, lease: SandboxLease) -> None:
        """Assign the leased sandbox to this session and confirm the lease.

        Raises :class:`SandboxLostBeforeStartError` when the sandbox died meanwhile; the lease is released then.
        """
        try:
            await self._assign(lease.link)
        except BaseException:
            await lease.release("could not be assigned")
            raise
        lease.confirm()
        self._use(lease.sandbox_id, lease.link)
        self._change(python_version=lease.link.hello.python_version[:32])

    async def _assign(self, link: RunnerLink) -> None:
        limits = self._services.limits
        assign = runner_pb2.Assign(
            session_id=self.session_id,
            env=self.record.env,
            secret_env=self._secret_env,
            journal_bytes=limits.journal_bytes,
            journal_operations=limits.journal_operations,
            queue_limit=limits.operation_queue,
        )
        assign.interrupt_grace.FromMicroseconds(int(limits.interrupt_grace * 1e6))
        try:
            await link.request(assign=assign)
        except (LinkClosed, TimeoutError, RequestFailed) as error:
            raise SandboxLostBeforeStartError(
                "the sandbox was lost; nothing was run", retry_delay=0.1
            ) from error

    async def adopt(self, link: RunnerLink) -> None:
        """Go on with the sandbox that served this session before the control plane was restarted.

        Raises :class:`RunnerViolation` when it is not that one.
        """
        if link.session_id != self.session_id:
            raise RunnerViolation("serves another session")
        self._use(self.record.sandbox_id, link)
        await self._resynchronise(link)

    def _use(self, sandbox_id: str, link: RunnerLink) -> None:
        self._link = self.operations.link = link
        link.set_sink(self)
        self._linked.set()
        if self.record.sandbox_id != sandbox_id:
            self._change(sandbox_id=sandbox_id)
        link.add_close_callback(self._link_closed)

    async def _resynchronise(self, link: RunnerLink) -> None:
        hello = link.hello
        number = hello.last_replaced.number
        if hello.HasField("last_replaced") and number > self.operations.log.replacements:
            survivors = frozenset(each.operation_id for each in hello.operations if not each.effects_lost)
            self._interpreter_replaced(hello.last_replaced, survivors)
        finished = self.operations.resynchronise(hello)
        for operation_id in finished:
            try:
                await self.operations.settle(operation_id)
            except (RequestFailed, TimeoutError) as error:
                link.violate(RunnerViolation("an operation of its own list is not there"))
                raise LinkClosed("the sandbox broke the protocol") from error
        self._change(execution_count=max(self.record.execution_count, hello.execution_count))

    # A sandbox goes.

    def _link_closed(self, link: RunnerLink) -> None:
        if link is not self._link:
            return
        self._link = self.operations.link = None
        self._linked.clear()
        if isinstance(link.error, RunnerViolation):
            _log.error("the sandbox broke the protocol", reason=str(link.error), **self._names())
            self.sandbox_lost("the sandbox broke the protocol and was destroyed")
            return
        self.start(self._reattach(link))

    async def _reattach(self, old: RunnerLink) -> None:
        sandbox_id = self.record.sandbox_id
        link = await find_again(old, sandbox_id)
        if link is None:
            self._services.observer.link_lost(self.record.template, found_again=False)
            if self.record.sandbox_id == sandbox_id and self._link is None:
                self.sandbox_lost("the sandbox died")
            return
        self._services.observer.link_lost(self.record.template, found_again=True)
        try:
            await self.adopt(link)
        except (RunnerViolation, LinkClosed) as error:
            _log.warning("the sandbox could not be attached again", reason=str(error), **self._names())
            await link.close()

    def sandbox_lost(self, reason: str) -> None:
        """End what the sandbox was doing and say what went with it; without a checkpoint nothing can be brought back.

        Idempotent: called by whoever notices first, the link, the pool or the engine.
        """
        if self.record.state in (_State.STATE_CRASHED, _State.STATE_TERMINATED):
            return
        sandbox_id = self.record.sandbox_id
        self._let_go()
        self._linked.set()  # whoever waits for the link shall look at the state instead
        self.operations.end_all(reason)
        lost = self.operations.log.lose_effects()
        self._change(state=_State.STATE_CRASHED, state_detail=f"{reason}; its state is lost", sandbox_id="")
        self._recovered(reason, lost, self.operations.log.forget_files())
        self._services.pool.report_lost(sandbox_id, reason)
        self._save_soon()

    def _let_go(self) -> RunnerLink | None:
        link, self._link, self.operations.link = self._link, None, None
        self._linked.clear()
        if link is not None:
            link.ignore()
        return link

    # What the sandbox says.

    def on_events(self, events: runner_pb2.Events) -> None:
        """See :class:`LinkSink`."""
        self.operations.take_events(events)

    def on_background(self, background: runner_pb2.Background) -> None:
        """See :class:`LinkSink`."""
        if (
            background.stream not in (1, 2)
            or len(background.data) > 64 * 1024
            or background.dropped_bytes < 0
        ):
            raise RunnerViolation("malformed background output")
        output = session_pb2.BackgroundOutput(
            stream=execution_pb2.OutputStream.Name(background.stream),
            data=background.data,
            dropped_bytes=background.dropped_bytes,
        )
        self.events.publish(background_output=output)

    def on_interpreter_replaced(self, replaced: runner_pb2.InterpreterReplaced) -> None:
        """See :class:`LinkSink`."""
        self._interpreter_replaced(replaced)

    def _interpreter_replaced(
        self, replaced: runner_pb2.InterpreterReplaced, survivors: frozenset[str] = frozenset()
    ) -> None:
        reason = replaced.reason[:200] or "the interpreter was replaced"
        lost = self.operations.log.lose_effects(replaced.number, survivors) if replaced.state_lost else []
        self._services.observer.interpreter_crashed(self.record.template, reason)
        _log.info("interpreter replaced", reason=reason, lost_operations=len(lost), **self._names())
        self._recovered(reason, lost, [])
        self._save_soon()

    def _operation_finished(self, operation: execution_pb2.Operation) -> None:
        trace = self._traces.pop(operation.operation_id, "")
        self._services.observer.operation_finished(self._record.template, operation, trace)
        # No write, no event and no new record here: this is the hot path. The next tick saves what changed.
        self._execution_count = max(self._execution_count, operation.execution_count)
        self._last_active = self._services.clock.now()
        self._dirty = True

    def _recovered(self, reason: str, operations: list[str], files: list[str]) -> None:
        recovery = session_pb2.Recovery(
            reason=reason, generation=self.record.generation, lost_operation_ids=operations, lost_files=files
        )
        recovery.time.FromDatetime(self._services.clock.now())
        self._change(last_recovery=recovery.SerializeToString())
        self.events.publish(recovery=recovery)

    # Use.

    async def usable(self) -> RunnerLink:
        """Return the link, waiting a moment while a broken one is mended, and count it as use of the session.

        Raises :class:`SessionTerminatedError`, :class:`SessionCrashedError`, :class:`SessionBusyError`.
        """
        self._check_alive()
        if self._link is None:
            try:
                async with asyncio.timeout(_ATTACH_SECONDS):
                    await self._linked.wait()
            except TimeoutError:
                self._check_alive()
                raise SessionBusyError(
                    "the sandbox is being looked for; try again", retry_delay=0.5
                ) from None
            self._check_alive()
        self.touch()
        assert self._link is not None
        return self._link

    def _check_alive(self) -> None:
        state, session_id = self.record.state, self.session_id
        if state == _State.STATE_TERMINATED:
            raise SessionTerminatedError(f"session {session_id} has ended", resource=session_id)
        if state == _State.STATE_CRASHED:
            raise SessionCrashedError(
                f"session {session_id} has crashed: {self.record.state_detail}; reset it or delete it",
                resource=session_id,
            )

    def touch(self) -> None:
        """Count as use: the idle time begins anew."""
        self._last_active = self._services.clock.now()
        self._dirty = True
        if self._record.state == _State.STATE_IDLE:
            self._change(state=_State.STATE_ACTIVE)

    async def execute(self, submission: Submission) -> AsyncIterator[bytes]:
        """Run new code, or replay what a repeated id stands for; return its events, serialized, up to Finished."""
        if self.operations.known(submission) is not None:
            return self.operations.watch(submission.operation_id, lenient=True)
        if self._link is None or self._record.state != _State.STATE_ACTIVE:
            await self.usable()
            if self.operations.known(submission) is not None:  # by another call, meanwhile
                return self.operations.watch(submission.operation_id, lenient=True)
        if self._changing.locked():
            raise SessionBusyError("the session is being reset; try again", retry_delay=0.2)
        self.operations.submit(submission)
        if submission.traceparent:
            self._traces[submission.operation_id] = submission.traceparent
        return self.operations.watch(submission.operation_id)

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Do something for this session that nobody waits for; it ends with the session at the latest."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Changing.

    async def update(
        self,
        labels: Mapping[str, str] | None,
        idle_timeout: timedelta | None,
        extend: timedelta | None,
    ) -> None:
        """Replace labels, set the idle timeout, put off the end: what is None stays. Counts as use."""
        self._check_ended()
        self.touch()
        if labels is not None:
            self._change(labels=dict(labels))
        if idle_timeout is not None:
            self._change(idle_timeout=idle_timeout)
        if extend is not None:
            self._change(expire_time=self.record.expire_time + extend)
        await self.save()

    async def reset(self, *, keep_files: bool) -> None:
        """Give the session a pristine interpreter; a crashed one gets a fresh sandbox.

        A running operation is cancelled first. Raises what :meth:`usable` and the pool raise.
        """
        self._check_ended()
        async with self._changing:
            self._check_ended()
            if self.record.state == _State.STATE_CRASHED:
                await self._reset_crashed()
            else:
                await self._reset_interpreter(keep_files=keep_files)
        self.touch()
        self.events.publish(session_changed=self.view())
        await self.save()

    async def _reset_interpreter(self, *, keep_files: bool) -> None:
        link = await self.usable()
        try:
            await link.request(reset=runner_pb2.Reset(keep_files=keep_files))
        except (LinkClosed, TimeoutError, RequestFailed) as error:
            raise SessionBusyError("the sandbox did not answer; try again", retry_delay=0.5) from error
        self.operations.log.reset()
        if not keep_files:
            self.operations.log.forget_files()

    async def _reset_crashed(self) -> None:
        services = self._services
        lease = await services.pool.acquire(self.record.template, self.session_id, services.limits.pool_wait)
        self.operations.log.reset()
        await self.take(lease)
        if self.ended:  # deleted while the sandbox was being assigned
            await services.pool.retire(self.record.sandbox_id, "the session has ended")
            self._check_ended()
        detail = (
            ""
            if self._secret_env or not self.record.has_secret_env
            else "secret_env is gone: it is kept nowhere"
        )
        self._change(state=_State.STATE_ACTIVE, state_detail=detail, generation=self.record.generation + 1)

    def _check_ended(self) -> None:
        if self.ended:
            raise SessionTerminatedError(f"session {self.session_id} has ended", resource=self.session_id)

    async def terminate(self, detail: str) -> None:
        """End the session and its operations and give up its sandbox. Idempotent."""
        if self.ended:
            return
        sandbox_id = self.record.sandbox_id
        link = self._let_go()
        self._linked.set()
        self.operations.end_all(f"the session ended: {detail}", execution_pb2.Operation.STATE_CANCELLED)
        now = self._services.clock.now()
        self._change(state=_State.STATE_TERMINATED, state_detail=detail, end_time=now)
        self._secret_env.clear()
        self.events.end()
        if link is not None:
            await link.close()
        if sandbox_id:
            await self._services.pool.retire(sandbox_id, detail)
        try:
            await self.save()
        finally:
            await self._cancel_tasks()
            self.operations.log.close()
            self._services.on_ended(self.record.tenant, self.session_id)

    async def tick(self, now: datetime) -> None:
        """Do what time asks for: become idle, end, save what use has changed."""
        record = self.record
        if self.ended:
            return
        if self.operations.live:
            self._last_active = now
            self._dirty = True
            record = self.record
        unused = now - record.last_active_time
        if now >= record.expire_time:
            await self.terminate("its lifetime is over")
        elif unused >= record.idle_timeout and not self._changing.locked():
            await self.terminate("it was idle for too long")
        else:
            if (
                record.state == _State.STATE_ACTIVE
                and unused.total_seconds() >= self._services.limits.idle_after
            ):
                self._change(state=_State.STATE_IDLE)
            if self._dirty:
                await self.save()

    # Its record.

    def _change(self, **fields: object) -> None:
        before = self.record
        self._record = replace(before, **fields)  # type: ignore[arg-type]
        self._execution_count = self._record.execution_count
        self._dirty = True
        if self.record.state != before.state:
            check_transition(before.state, self.record.state)
            _log.info("session state", state=_State.State.Name(self.record.state), **self._names())
        if any(name in fields for name in ("state", "sandbox_id", "labels", "idle_timeout", "expire_time")):
            self.events.publish(session_changed=self.view())

    async def save(self) -> None:
        """Write the record. StoreUnavailableError when that fails; the next tick tries again."""
        self._dirty = False
        try:
            await self._services.catalog.put_session(self.record)
        except StoreUnavailableError:
            self._dirty = True
            raise

    def _save_soon(self) -> None:
        self._dirty = True

    def _names(self) -> dict[str, str]:
        record = self.record
        return {"tenant": record.tenant, "session_id": record.session_id, "sandbox_id": record.sandbox_id}

    async def _cancel_tasks(self) -> None:
        # The caller may be one of them: a session can be ended by what it does in the background.
        others = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def detach(self) -> None:
        """Let go of everything without ending anything: the control plane stops."""
        await self._cancel_tasks()
        link = self._let_go()
        if link is not None:
            await link.close()
        if self._dirty and not self.ended:
            await self.save()
        self.events.end()
        self.operations.log.close()
