"""Runs the operations of a session in whatever interpreter is alive, in their order, and tells what happens.

Everything here happens at once; what takes time (a snapshot, going back) is done elsewhere and ends in another look at
the queue: :meth:`Dispatcher.dispatch`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sandbank_runner.channel import Message
from sandbank_runner.supervisor import endings, refusals, verdicts
from sandbank_runner.supervisor.background import BackgroundOutput
from sandbank_runner.supervisor.candidates import Candidate, Restoration
from sandbank_runner.supervisor.file_bases import FileBases
from sandbank_runner.supervisor.going_back import GoingBack
from sandbank_runner.supervisor.hearing import Hearing
from sandbank_runner.supervisor.imports import Imports
from sandbank_runner.supervisor.in_thread import InThread
from sandbank_runner.supervisor.inputs import Inputs
from sandbank_runner.supervisor.interpreter_messages import Done
from sandbank_runner.supervisor.interpreter_process import Interpreter, StartFailed
from sandbank_runner.supervisor.interpreters import RESTORE, Death, Interpreters
from sandbank_runner.supervisor.journal import Journal, Record
from sandbank_runner.supervisor.ladder import Ladder, Stoppable
from sandbank_runner.supervisor.ledger import Ledger
from sandbank_runner.supervisor.moments import Moments
from sandbank_runner.supervisor.operations import End, Isolation, Kind, Notice, Operation, Stop
from sandbank_runner.supervisor.queue import Begin, Finish, Import, OperationQueue, Step
from sandbank_runner.supervisor.refusals import Refusal
from sandbank_runner.supervisor.reporting import Reporter, Running
from sandbank_runner.supervisor.restore_points import WayBack
from sandbank_runner.supervisor.rewinding import REWIND, Rewinding
from sandbank_runner.supervisor.safety_snapshots import SafetySnapshots
from sandbank_runner.supervisor.scheduling import Next, Situation, decide
from sandbank_runner.supervisor.state_connections import StateConnections
from sandbank_runner.supervisor.transaction_desk import TransactionDesk
from sandbank_runner.supervisor.ways_back import after_failure

_CARRIED = 64
"""Warnings of a rollback that no operation has to do with: they go to the next one."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the session says."""

    queue_limit: int
    grace_seconds: float


class Dispatcher:
    """A queue in front of the interpreters. Listens to them."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interpreters: Interpreters,
        settings: Settings,
        *,
        connections: StateConnections,
        journal: Journal,
        ledger: Ledger,
        reporter: Reporter,
        background: BackgroundOutput,
        now: Callable[[], int],
    ) -> None:
        self.running: dict[str, Running] = {}
        """One operation of ISOLATION_PROCESS, or some of ISOLATION_NAMESPACE."""
        self.queue = OperationQueue(settings.queue_limit)
        self.moments = Moments(loop, self.dispatch)
        self._loop = loop
        self._interpreters = interpreters
        self._snapshots = interpreters.snapshots
        self._settings = settings
        self._journal = journal
        self._ledger = ledger
        self._reporter = reporter
        self._now = now
        self._held = 0
        self._carried: list[Notice] = []
        self._snapshots.pinned = self._pinned
        self._hearing = Hearing(self.running, reporter, background, self._done)
        self._going_back = GoingBack(ledger)
        self._rewinding = Rewinding(loop, interpreters, ledger, self._going_back)
        self._bases = FileBases(interpreters.workspace, ledger, self._operations, self.dispatch)
        self._imports = Imports(loop, connections, ledger, self._imported)
        self._safety = SafetySnapshots(loop, self._snapshots, ledger, self._idle, self.dispatch)
        self._transactions = TransactionDesk(
            loop,
            ledger,
            self._snapshots,
            self._bases,
            self._going_back,
            now=now,
            idle=self._idle,
            again=self.dispatch,
        )

    # What is asked for.

    def submit(self, operation: Operation) -> None:
        """Queue an operation, or run it at once. One that is known already is ignored."""
        if operation.operation_id in self._journal:
            return
        record = self._journal.open(operation)
        if self.queue.push(operation):
            self.dispatch()
        else:
            self._reporter.never_began(record, End.WITHDRAWN, verdicts.queue_full(self.queue.limit))

    def arrange(self, step: Begin | Finish | Import) -> None:
        """Queue what is no operation; it is answered in its turn."""
        if self.queue.push(step):
            self.dispatch()
        else:
            step.answer(refusals.queue_full(self.queue.limit))

    def cancel(self, operation: Operation) -> None:
        """Wish an operation to end; no effect on one that has."""
        running = self.running.get(operation.operation_id)
        if running is not None:
            running.ladder.stop(Stop.CANCEL)
        elif self.queue.withdraw(operation.operation_id) is not None:
            self._withdraw(operation)
            self.dispatch()  # what waited behind it may need less than it did

    def provide_input(self, operation_id: str, input_id: str, text: str | None) -> bool:
        """Answer a question of a running operation; None is the end of file. False where it does not wait for that."""
        running = self.running.get(operation_id)
        return running is not None and running.done is None and running.inputs.answer(input_id, text)

    def reset(self, before_next: Callable[[], Awaitable[None]]) -> Awaitable[None]:
        """Cancel everything now and replace the interpreter by a pristine one; what is returned waits for it."""
        self._sweep_away("reset")
        return self._interpreters.replace(before_next)

    def rewind(self, operation: Operation) -> Refusal | Awaitable[Refusal | None]:
        """Cancel everything now and go back to the state right after ``operation``, or say why that cannot be.

        What is returned waits for it, and must be awaited; what is submitted meanwhile runs in that state.
        """
        refusal = self._rewinding.refuses(operation)
        if refusal is not None:
            return refusal
        self._held += 1
        self._sweep_away(REWIND)
        return self._rewind(operation)

    async def _rewind(self, operation: Operation) -> Refusal | None:
        try:
            return await self._rewinding.rewind(operation)
        finally:
            self._held -= 1
            self.dispatch()

    async def take_over(
        self, candidate: Candidate, restoration: Restoration, before: Callable[[], Awaitable[None]]
    ) -> None:
        """Cancel everything and make a candidate the live interpreter; nothing begins during ``before``.

        Raises ``StartFailed`` where it died, ``Overtaken``, and what ``before`` raises: then all goes on as it was.
        """
        self._held += 1
        try:
            await before()
            live = await self._interpreters.alive()
            if candidate.interpreter.dead.done():
                raise StartFailed("ended before it could take over")
            self._sweep_away(RESTORE)
            await self._interpreters.adopt(live, candidate, restoration)
            self._interpreters.workspace.forget()
        finally:
            self._held -= 1
            self.dispatch()

    def dispatch(self) -> None:
        """Do what is next, as far as the interpreter is free for it."""
        while True:
            interpreter = self._interpreters.current
            if interpreter is None or self._is_reserved or not interpreter.takes_operations:
                return
            if self.moments.wanted and self._is_between(interpreter):
                self.moments.give()
                return
            step = self.queue.first
            verdict = self._next(step, interpreter)
            if verdict is Next.SNAPSHOT and interpreter.free:
                self._safety.take(interpreter)
            elif verdict is Next.BASE and step is not None:
                self._bases.take(step)
            if step is None or verdict in (Next.WAIT, Next.SNAPSHOT, Next.BASE):
                return
            self.queue.pop()
            if isinstance(verdict, Refusal):
                self._refuse(step, verdict)
            else:
                self._go(step, interpreter)

    def _next(self, step: Step | None, interpreter: Interpreter) -> Next | Refusal:
        """Decide over the head of the queue."""
        if self._safety.lacks_base:
            return Next.SNAPSHOT
        if step is None:
            if not self.running:
                self._safety.activity()
            return Next.WAIT
        return Next.GO if self._is_plain(step) else decide(step, self._situation(step, interpreter))

    # What the interpreters tell.

    def output(self, stream: int, data: bytes) -> None:
        """User code wrote."""
        self._hearing.output(stream, data)

    def settle(self) -> None:
        """Nothing more comes for the moment: send what has come."""
        self._reporter.settle()

    def said(self, interpreter: Interpreter, message: Message) -> None:
        """The interpreter that runs operations tells of one."""
        self._hearing.said(interpreter, message)

    def interpreter_ready(self) -> None:
        """There is an interpreter to use."""
        self.dispatch()

    def way_back(self, interpreter: Interpreter) -> WayBack:
        """Say where to go back to, now that the interpreter is dead."""
        return self._going_back.choose(self._operations())

    def interpreter_died(self, death: Death) -> None:
        """An interpreter is gone, and with it what ran in it."""
        ended = list(self.running.values())
        self.running.clear()
        self._snapshots.forget_refusal()
        stopped = endings.stopped(ended, death)
        under = stopped or (ended[0].record.operation if ended else None)
        operation_id = "" if under is None else under.operation_id
        arrival = self._going_back.arrive(death, operation_id)
        if not ended and not death.was_reset:
            self._carried = [*self._carried, *verdicts.carried(death)][-_CARRIED:]
        for running in ended:
            how, error = endings.with_interpreter(running, arrival, self._settings.grace_seconds, stopped)
            self._reporter.finished(running, how, error)
        self._transactions.activity()
        self._snapshots.tidy()
        self._bases.tidy()
        if arrival.errand is not None:
            arrival.errand.done(arrival.exactly)

    # How an operation begins and ends.

    def _go(self, step: Step, interpreter: Interpreter) -> None:
        if isinstance(step, Operation):
            self._start(step, interpreter)
        elif isinstance(step, Begin):
            self._transactions.begin(step)
        elif isinstance(step, Import):
            self._imports.start(step, interpreter)
        else:
            self._transactions.finish(step, interpreter)

    def _start(self, operation: Operation, interpreter: Interpreter) -> None:
        record = self._record(operation)
        operation.files_base = self._bases.base_for(operation)
        self._transactions.begin_with(operation)
        now = self._now()
        self._ledger.begin(operation, now)
        interpreter.execute(operation, self._interpreters.workspace.has_news())
        target: Stoppable = interpreter
        if operation.isolation is Isolation.NAMESPACE:
            target = InThread(interpreter, operation.operation_id)
        ladder = Ladder(self._loop, operation, target, self._settings.grace_seconds)
        inputs = Inputs(operation, interpreter)
        self.running[operation.operation_id] = Running(record, interpreter, ladder, self._loop.time(), inputs)
        if self._carried:
            operation.warnings += self._carried
            self._carried = []
        self._reporter.started(record, now)

    def _done(self, running: Running, done: Done) -> None:
        operation = running.record.operation
        operation.dropped_output_bytes += done.dropped_bytes
        operation.interrupted = done.interrupted
        operation.warnings += done.warnings
        operation.files_changed, operation.files_changed_truncated = done.files, done.files_truncated
        if operation.isolation is Isolation.NAMESPACE:
            operation.conflicting_names = done.conflicts
        if done.error is not None and done.interrupted and operation.stop is not None:
            verdicts.explain_interrupt(done.error, operation.stop, operation.timeout)
        running.done = done
        how = End.RETURNED if done.ok else End.RAISED
        if operation.must_be_undone(how):
            running.ladder.release()
            errand = after_failure(operation, self._ledger.transactions.open)
            self._going_back.go(running.interpreter, errand)
            return
        del self.running[operation.operation_id]
        self._bases.tidy()
        if not self.running:
            operation.state_after = self._ledger.effects.state
            running.interpreter.finish()
        self._snapshots.forget_refusal()
        self._transactions.activity()
        self._reporter.finished(running, how, done.error)
        self.dispatch()

    def _refuse(self, step: Step, refusal: Refusal) -> None:
        self._snapshots.forget_refusal()
        self._interpreters.workspace.forget_refusal()
        if isinstance(step, Operation):
            step.warnings += refusal.notices()
            self._reporter.never_began(self._record(step), End.REFUSED, refusal.error())
        else:
            step.answer(refusal)

    def _withdraw(self, operation: Operation) -> None:
        self._reporter.never_began(self._record(operation), End.WITHDRAWN, verdicts.cancelled_in_queue())

    def _sweep_away(self, why: str) -> None:
        """End what runs and what is queued, because the interpreter is about to be replaced."""
        for step in self.queue.clear():
            if isinstance(step, Operation):
                self._withdraw(step)
            elif isinstance(step, Import):
                step.answer(refusals.replaced(why))
            else:
                step.answer(refusals.swept_away(why))
        for running in self.running.values():
            running.ladder.release()
            running.record.operation.wish(Stop.CANCEL)

    def _record(self, operation: Operation) -> Record:
        record = self._journal.find(operation.operation_id)
        assert record is not None
        return record

    def _imported(self) -> None:
        self._snapshots.forget_refusal()
        self._transactions.activity()
        self.dispatch()

    @property
    def _is_reserved(self) -> bool:
        """Whether nothing may begin, because something runs that is to be alone, or the interpreter is to change."""
        return self._held > 0 or self._imports.running or self._is_exclusive or self.moments.lasts

    def _is_between(self, interpreter: Interpreter) -> bool:
        """Whether the live interpreter has the state that is committed, and nothing to do."""
        return interpreter.free and not self.running and self._ledger.transactions.open is None

    @property
    def _is_exclusive(self) -> bool:
        """Whether an operation runs that nothing may run beside."""
        return bool(self.running) and any(
            running.record.operation.isolation is Isolation.PROCESS for running in self.running.values()
        )

    def _is_plain(self, step: Step) -> bool:
        """Whether the answer is known without a look at the table, as for most."""
        return (
            isinstance(step, Operation)
            and step.kind is Kind.NONE
            and not self.running
            and self._ledger.transactions.open is None
            and not self._snapshots.settings.history
        )

    def _situation(self, step: Step, interpreter: Interpreter) -> Situation:
        snapshots = self._snapshots
        return Situation(
            transactions=self._ledger.transactions,
            running=len(self.running),
            disabled=snapshots.settings.disabled,
            standing=self._safety.standing,
            taking=snapshots.taking,
            refusal=snapshots.refusal,
            history=snapshots.settings.history > 0 and interpreter.used,
            files=self._bases.situation(step),
        )

    def _operations(self) -> list[Operation]:
        return [running.record.operation for running in self.running.values()]

    def _pinned(self) -> set[int]:
        pinned = {running.record.operation.base for running in self.running.values()}
        opened = self._ledger.transactions.open
        return pinned if opened is None else {*pinned, opened.base}

    def _idle(self) -> Interpreter | None:
        """Return the interpreter where it has nothing to do and nothing waits for it."""
        interpreter = self._interpreters.current
        if (
            interpreter is None
            or not interpreter.free
            or self.running
            or self._is_reserved
            or len(self.queue)
        ):
            return None
        return interpreter
