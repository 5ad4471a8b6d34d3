"""Runs the operations of a session in whatever interpreter is alive, in their order, and tells what happens.

Everything here happens at once; what takes time (a snapshot, going back) is done elsewhere and ends in another look at
the queue: :meth:`Dispatcher.dispatch`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sandbank_runner.channel import Message
from sandbank_runner.supervisor import refusals, verdicts
from sandbank_runner.supervisor.background import BackgroundOutput
from sandbank_runner.supervisor.file_bases import FileBases
from sandbank_runner.supervisor.inputs import Inputs
from sandbank_runner.supervisor.interpreter_messages import BadMessage, Done, parse_display, parse_done
from sandbank_runner.supervisor.interpreter_process import Interpreter
from sandbank_runner.supervisor.interpreters import Death, Interpreters
from sandbank_runner.supervisor.journal import Journal, Record
from sandbank_runner.supervisor.ladder import Ladder
from sandbank_runner.supervisor.lazy_timer import LazyTimer
from sandbank_runner.supervisor.ledger import ROLLBACK, Ledger
from sandbank_runner.supervisor.operations import End, Isolation, Notice, Operation, Stop
from sandbank_runner.supervisor.queue import Begin, Finish, OperationQueue, Step
from sandbank_runner.supervisor.refusals import Refusal
from sandbank_runner.supervisor.reporting import Reporter, Running
from sandbank_runner.supervisor.restore_points import WayBack
from sandbank_runner.supervisor.scheduling import Next, Situation, decide
from sandbank_runner.supervisor.transactions import Transaction
from sandbank_runner.supervisor.ways_back import Errand, after_death, after_failure

_LONGEST_PATIENCE_SECONDS = 2.0
"""How long to wait at most before trying again for a safety snapshot that could not be had."""

_BUSY_SECONDS = 0.05
"""How soon to look again at an idle transaction while the interpreter is being replaced."""

_CARRIED = 64
"""Warnings of a rollback that no operation has to do with: they go to the next one."""

REWIND = "rewind"
"""``killed_for`` of an interpreter that is killed to rewind."""


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
        journal: Journal,
        ledger: Ledger,
        reporter: Reporter,
        background: BackgroundOutput,
        now: Callable[[], int],
    ) -> None:
        self.dropped_messages = 0
        self.running: dict[str, Running] = {}
        """One operation of ISOLATION_PROCESS, or some of ISOLATION_NAMESPACE."""
        self.queue = OperationQueue(settings.queue_limit)
        self._loop = loop
        self._interpreters = interpreters
        self._snapshots = interpreters.snapshots
        self._settings = settings
        self._journal = journal
        self._ledger = ledger
        self._reporter = reporter
        self._background = background
        self._now = now
        self._errand: Errand | None = None
        self._way: WayBack | None = None
        self._held = 0
        self._carried: list[Notice] = []
        self._patience = self._snapshots.settings.quiet_seconds
        self._quiet = LazyTimer(loop, self._snapshots.settings.quiet_seconds, self._when_quiet)
        self._idle = LazyTimer(loop, _BUSY_SECONDS, self._when_idle)
        self._snapshots.pinned = self._pinned
        self._bases = FileBases(interpreters.workspace, ledger, self._operations, self.dispatch)

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

    def arrange(self, step: Begin | Finish) -> None:
        """Queue the begin or the end of a transaction; it is answered in its turn."""
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

    async def rewind(self, operation: Operation) -> Refusal | None:
        """Cancel everything and go back to the state right after ``operation``; return why that cannot be."""
        refusal = self._cannot_rewind(operation)
        if refusal is not None:
            return refusal
        self._held += 1
        try:
            self._sweep_away(REWIND)
            interpreter = await self._interpreters.ready()
            while interpreter.killed_for:  # it is on its way back already
                await interpreter.dead
                await asyncio.sleep(0)
                interpreter = await self._interpreters.ready()
            return await self._rewind(operation, interpreter)
        finally:
            self._held -= 1
            self.dispatch()

    def dispatch(self) -> None:
        """Do what is next, as far as the interpreter is free for it."""
        while True:
            interpreter = self._interpreters.current
            if interpreter is None or self._held or not interpreter.takes_operations or self._is_exclusive:
                return
            step = self.queue.first
            if self._lacks_base:
                verdict: Next | Refusal = Next.SNAPSHOT
            elif step is None:
                if not self.running and not self._standing:
                    self._quiet.touch()
                return
            else:
                verdict = decide(step, self._situation(step))
            if verdict is Next.SNAPSHOT and interpreter.free:
                self._take(interpreter)
            if verdict is Next.BASE and step is not None:
                self._bases.take(step)
            if step is None or verdict in (Next.WAIT, Next.SNAPSHOT, Next.BASE):
                return
            self.queue.pop()
            if isinstance(verdict, Refusal):
                self._refuse(step, verdict)
            else:
                self._go(step, interpreter)

    # What the interpreters tell.

    def output(self, stream: int, data: bytes) -> None:
        """User code wrote: it is the running operation's, or nobody's."""
        running = next(iter(self.running.values()), None)
        if running is None:
            self._background.output(stream, data)
        else:
            self._reporter.output(running.record, stream, data)

    def settle(self) -> None:
        """Nothing more comes for the moment: send what has come."""
        self._reporter.settle()

    def said(self, interpreter: Interpreter, message: Message) -> None:
        """The interpreter that runs operations tells of one; what does not fit is dropped."""
        operation_id = message.header.get("operation")
        running = self.running.get(operation_id) if isinstance(operation_id, str) else None
        if (
            running is None
            or running.interpreter is not interpreter
            or running.done is not None
            or interpreter.killed_for  # its state is as good as gone, whatever it had still reached
        ):
            self.dropped_messages += 1
            return
        try:
            kind = message.header.get("type")
            if kind == "display":
                self._reporter.display(running.record, parse_display(message))
            elif kind == "done":
                self._done(running, parse_done(message))
            elif kind == "input_request":
                self._reporter.input_request(running.record, running.inputs.asked(message))
            elif kind == "input_withdrawn":
                running.inputs.withdrawn(message)
            else:
                self.dropped_messages += 1
        except BadMessage:
            self.dropped_messages += 1

    def interpreter_ready(self) -> None:
        """There is an interpreter to use."""
        self.dispatch()

    def way_back(self, interpreter: Interpreter) -> WayBack:
        """Say where to go back to, now that the interpreter is dead."""
        if self._errand is not None:
            self._way = self._errand.way
        else:
            self._way = after_death(self._operations(), self._ledger.transactions.open, self._ledger.effects)
        return self._way

    def interpreter_died(self, death: Death) -> None:
        """An interpreter is gone, and with it what ran in it."""
        errand, self._errand = self._errand, None
        way, self._way = self._way, None
        ended = list(self.running.values())
        self.running.clear()
        self._snapshots.forget_refusal()
        exactly = False
        if death.was_reset or way is None:
            self._ledger.reset()
        else:
            exactly = self._ledger.went_back(
                death,
                way,
                operation_id=ended[0].record.operation.operation_id if ended else "",
                reason=errand.reason if errand else f"the interpreter died ({death.cause})",
                asked_for=errand is not None and errand.rewinds,
            )
            if not ended:
                self._carried = [*self._carried, *verdicts.carried(death)][-_CARRIED:]
        for running in ended:
            self._end_with_interpreter(running, death, errand, exactly=exactly)
        self._activity()
        self._snapshots.tidy()
        self._bases.tidy()
        if errand is not None:
            errand.done(exactly)

    # How an operation begins and ends.

    def _go(self, step: Step, interpreter: Interpreter) -> None:
        if isinstance(step, Operation):
            self._start(step, interpreter)
        elif isinstance(step, Begin):
            self._begin(step)
        else:
            self._end(step, interpreter)

    def _start(self, operation: Operation, interpreter: Interpreter) -> None:
        record = self._record(operation)
        operation.files_base = self._bases.base_for(operation)
        if operation.begins is not None and self._ledger.transactions.open is None:
            begun = self._ledger.begin_transaction(operation.transaction_id, operation.begins)
            begun.files_base = operation.files_base if operation.begins.include_files else None
        now = self._now()
        self._ledger.begin(operation, now)
        interpreter.execute(operation, self._interpreters.workspace.has_news())
        ladder = Ladder(self._loop, operation, interpreter, self._settings.grace_seconds)
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
        operation.files_changed = done.files
        if operation.isolation is Isolation.NAMESPACE:
            operation.conflicting_names = done.conflicts
        if done.error is not None and done.interrupted and operation.stop is not None:
            verdicts.explain_interrupt(done.error, operation.stop, operation.timeout)
        running.done = done
        how = End.RETURNED if done.ok else End.RAISED
        if operation.must_be_undone(how):
            running.ladder.release()
            self._errand = after_failure(operation, self._ledger.transactions.open)
            running.interpreter.kill(ROLLBACK)
            return
        del self.running[operation.operation_id]
        self._bases.tidy()
        if not self.running:
            operation.state_after = self._ledger.effects.state
            running.interpreter.finish()
        self._snapshots.forget_refusal()
        self._activity()
        self._reporter.finished(running, how, done.error)
        self.dispatch()

    def _end_with_interpreter(
        self, running: Running, death: Death, errand: Errand | None, *, exactly: bool
    ) -> None:
        operation = running.record.operation
        consequence = verdicts.consequence(operation, death.restored)
        if death.restored is not None:
            operation.state_after = self._ledger.effects.state
        if not death.was_reset:
            operation.warnings += verdicts.notices(operation, death, exactly=exactly)
        if death.with_files:
            operation.files_changed = ()
        elif (
            running.done is None
            and death.restored is not None
            and death.restored.point.mark.state == operation.base
        ):
            operation.files_changed = death.restored.woken.files
        if running.done is not None:
            how, error = End.RETURNED if running.done.ok else End.RAISED, running.done.error
        elif operation.stop is not None and (death.was_reset or (errand is not None and errand.rewinds)):
            how, error = End.KILLED, verdicts.cancelled_by("reset" if death.was_reset else REWIND)
        elif operation.stop is not None and death.interpreter.killed_for:
            grace = self._settings.grace_seconds
            how = End.KILLED
            error = verdicts.killed(operation.stop, operation.timeout, grace, consequence)
        else:
            how, error = End.DIED, verdicts.died(death.cause, consequence)
        self._reporter.finished(running, how, error)

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
            else:
                step.answer(refusals.swept_away(why))
        for running in self.running.values():
            running.ladder.release()
            running.record.operation.wish(Stop.CANCEL)

    def _record(self, operation: Operation) -> Record:
        record = self._journal.find(operation.operation_id)
        assert record is not None
        return record

    # Transactions.

    def _begin(self, step: Begin) -> None:
        known = self._ledger.transactions.find(step.transaction_id)
        if known is None:
            base = self._bases.base_for(step)
            known = self._ledger.begin_transaction(step.transaction_id, step.terms)
            known.files_base = base
        step.answer(known)
        self._activity()

    def _end(self, step: Finish, interpreter: Interpreter) -> None:
        transaction = self._ledger.transactions.find(step.transaction_id)
        assert transaction is not None
        if transaction.committed is not None:
            step.answer(transaction)
        elif step.commit:
            step.answer(self._ledger.end_transaction(committed=True, reason="commit"))
            self._snapshots.tidy()
            self._bases.tidy()
        else:
            self._roll_back(transaction, ROLLBACK, interpreter, lambda: step.answer(transaction))

    def _roll_back(
        self, transaction: Transaction, reason: str, interpreter: Interpreter, done: Callable[[], None]
    ) -> None:
        """End the open transaction in the state before it."""
        if self._ledger.effects.state == transaction.base and self._bases.is_as_before(transaction):
            self._ledger.end_transaction(committed=False, reason=reason)
            self._snapshots.tidy()
            self._bases.tidy()
            done()
        else:
            way = WayBack(limit=transaction.base, limit_files=transaction.files_base)
            self._errand = Errand(way, reason, lambda _: done())
            interpreter.kill(ROLLBACK)

    def _activity(self) -> None:
        """Something happened: an open transaction's idle time begins anew."""
        opened = self._ledger.transactions.open
        if opened is not None:
            opened.touch(self._now())
            self._idle.touch(opened.terms.idle_timeout)

    def _when_idle(self) -> None:
        opened = self._ledger.transactions.open
        if opened is None or self.running:
            return  # with the end of what runs the time begins anew
        interpreter = self._interpreters.current
        if interpreter is None or not interpreter.free or self._held or len(self.queue):
            self._idle.touch()
        else:
            self._roll_back(opened, "idle for too long", interpreter, self.dispatch)

    # Going back on purpose.

    def _cannot_rewind(self, operation: Operation) -> Refusal | None:
        """Say why there is no way to the state right after an operation."""
        if self._snapshots.settings.disabled:
            return refusals.SNAPSHOTS_DISABLED
        state = operation.state_after
        opened = self._ledger.transactions.open
        if (
            not operation.finished
            or state is None
            or (
                opened is not None and state > opened.base
            )  # half of a transaction is no state of the session
            or (state != self._ledger.effects.state and self._snapshots.points.of_state(state) is None)
        ):
            return refusals.snapshot_gone(operation.operation_id)
        return None

    async def _rewind(self, operation: Operation, interpreter: Interpreter) -> Refusal | None:
        refusal = self._cannot_rewind(operation)  # it may have gone meanwhile
        state = operation.state_after
        if refusal is not None or state is None:
            return refusal
        if state == self._ledger.effects.state and not self.running:
            if self._ledger.transactions.open is not None:
                self._ledger.end_transaction(committed=False, reason=REWIND)
            return None
        done: asyncio.Future[bool] = self._loop.create_future()
        self._errand = Errand(WayBack(limit=state, exact=state), REWIND, done.set_result, rewinds=True)
        interpreter.kill(REWIND)
        return None if await done else refusals.snapshot_gone(operation.operation_id)

    # Snapshots.

    @property
    def _is_exclusive(self) -> bool:
        """Whether something runs that nothing may run beside."""
        return any(
            running.record.operation.isolation is Isolation.PROCESS for running in self.running.values()
        )

    @property
    def _standing(self) -> bool:
        """Whether there is a snapshot of the state as it is."""
        newest = self._snapshots.points.newest
        return newest is not None and newest.mark.state == self._ledger.effects.state

    @property
    def _lacks_base(self) -> bool:
        """Whether the open transaction's way back was used up by an operation of it: it needs another at once."""
        opened = self._ledger.transactions.open
        return (
            opened is not None
            and opened.base == self._ledger.effects.state
            and not self._standing
            and not self._snapshots.taking
            and self._snapshots.refusal is None
        )

    def _situation(self, step: Step) -> Situation:
        snapshots = self._snapshots
        return Situation(
            transactions=self._ledger.transactions,
            running=len(self.running),
            disabled=snapshots.settings.disabled,
            standing=self._standing,
            taking=snapshots.taking,
            refusal=snapshots.refusal,
            history=snapshots.settings.history,
            files=self._bases.situation(step),
        )

    def _operations(self) -> list[Operation]:
        return [running.record.operation for running in self.running.values()]

    def _pinned(self) -> set[int]:
        pinned = {running.record.operation.base for running in self.running.values()}
        opened = self._ledger.transactions.open
        return pinned if opened is None else {*pinned, opened.base}

    def _take(self, interpreter: Interpreter) -> None:
        self._snapshots.take(interpreter, self._ledger.mark, self._taken)

    def _taken(self) -> None:
        """A snapshot is there, or could not be had."""
        if self._snapshots.refusal is None:
            self._patience = self._snapshots.settings.quiet_seconds
        elif self.queue.first is None:
            self._snapshots.forget_refusal()
            self._patience = min(2 * self._patience, _LONGEST_PATIENCE_SECONDS)
            self._quiet.touch(self._patience)
            return
        self.dispatch()

    def _when_quiet(self) -> None:
        """Take a safety snapshot where anything has run since the last."""
        interpreter = self._interpreters.current
        if (
            interpreter is not None
            and interpreter.free
            and interpreter.used
            and not self.running
            and not self._standing
            and not self._snapshots.settings.disabled
            and not self._snapshots.taking
        ):
            self._take(interpreter)
