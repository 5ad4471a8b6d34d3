"""What the supervisor decides about snapshots and transactions, taken into the operation log.

The supervisor owns the truth (docs/decisions/0004): here it is only believed as far as it can be. What it says must
follow from what was asked of it, never take back what it said, and name nothing that is not the session's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sandbank.v1 import execution_pb2, transaction_pb2
from sandbank_runner.v1 import runner_pb2

from sandbank_server.runners.checks import check_counts, parse_transaction, reason_of
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.sessions.log.entry import KEPT_EFFECT, LogEntry
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.log.set_variables import GoneSets
from sandbank_server.sessions.log.transaction_ledger import LoggedTransaction

_Operation = execution_pb2.Operation
_Gone = dict[str, _Operation.Outcome]

REPLACEMENTS_PER_OPERATION = 8
"""How often an interpreter may be replaced for each operation of the session; an honest one dies once or twice."""

_REPLACEMENTS_AT_LEAST = 1000

_STOPPED = ("timeout", "cancel", "rollback", "rewind")
"""Reasons of an interpreter that was ended on purpose: when nothing was lost with it there is nothing to tell."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """What replacements of the interpreter did.

    ``lost``: operations whose effects went although nobody asked for that, oldest first; ``lost_sets``: variables that
    were set through the API, likewise. ``rewound``: it was asked for.
    ``recovered``: something died or was lost, and there is a recovery to tell. ``execution_count``: that of the session
    now, None where it goes on as it was. ``under``: the operation that it happened under, or empty.
    """

    reason: str
    lost: Sequence[str] = ()
    lost_sets: Sequence[str] = ()
    rewound: bool = False
    recovered: bool = True
    execution_count: int | None = None
    under: str = ""


@dataclass(slots=True)
class Learned:
    """What a greeting told that was not known."""

    replaced: Replaced | None = None
    changed: list[LoggedTransaction] = field(default_factory=list)


class Mirror:
    """Takes in what one session's sandbox says. Every method raises :class:`RunnerViolation` for what cannot be."""

    def __init__(self, log: OperationLog) -> None:
        self._log = log

    def transaction_changed(
        self, message: runner_pb2.TransactionChanged, execution_count: int
    ) -> LoggedTransaction:
        """Take in that a transaction opened or ended. ``execution_count``: the session's, now."""
        log = self._log
        if message.number <= log.transaction_changes:
            raise RunnerViolation("the changes of its transactions went backwards")
        check_counts(message.number)
        told = parse_transaction(message.transaction, log.session_id)
        transaction = log.transactions.get(told.transaction_id)
        if transaction is None:
            raise RunnerViolation("a transaction that was never asked for")
        if not transaction.may_become(told.state):
            raise RunnerViolation(f"a transaction went from {transaction.state} to {told.state}")
        if not set(transaction.members).issuperset(told.operation_ids):
            raise RunnerViolation("a transaction with operations that are not its own")
        if told.state == transaction_pb2.Transaction.STATE_OPEN:
            transaction.begin_time_us = told.begin_time.ToMicroseconds()
            transaction.base_count = execution_count
        transaction.expire_time_us = told.expire_time.ToMicroseconds()
        transaction.reason = reason_of(message.reason)
        log.change_transaction(transaction, told.state, message.number)
        return transaction

    def replaced(self, message: runner_pb2.InterpreterReplaced) -> Replaced:
        """Take in that the interpreter was replaced, as it happens."""
        if message.number <= self._log.replacements:
            raise RunnerViolation("the replacements of its interpreter went backwards")
        return self._take_in([message], _Now())

    def learn(self, hello: runner_pb2.Hello, execution_count: int) -> Learned:
        """Take in what happened while nobody listened. ``execution_count``: the session's, as far as it is known."""
        log = self._log
        learned = Learned()
        newest = hello.transactions[-1].number if hello.transactions else 0
        if newest < log.transaction_changes:
            raise RunnerViolation("the changes of its transactions went backwards")
        if hello.transactions and hello.transactions[0].number > log.transaction_changes + 1:
            # One at a time is asked for, so there cannot be so many that some were dropped.
            raise RunnerViolation("changes of transactions are missing")
        # First, so that what was committed and then lost with an interpreter is found among what could be lost.
        for change in hello.transactions:
            if change.number > log.transaction_changes:
                learned.changed.append(self.transaction_changed(change, execution_count))
        if hello.last_replaced.number < log.replacements:
            raise RunnerViolation("the replacements of its interpreter went backwards")
        messages = list(hello.replacements) or ([hello.last_replaced] if hello.last_replaced.number else [])
        fresh = [each for each in messages if each.number > log.replacements]
        now = _Now.of(hello)
        if fresh:
            now.gap = fresh[0].number > log.replacements + 1
            learned.replaced = self._take_in(fresh, now)
        return learned

    def _take_in(self, messages: Sequence[runner_pb2.InterpreterReplaced], now: _Now) -> Replaced:
        log, newest = self._log, messages[-1]
        limit = REPLACEMENTS_PER_OPERATION * (len(log) + len(log.transactions)) + _REPLACEMENTS_AT_LEAST
        if newest.number > limit:
            raise RunnerViolation("interpreters that die again and again")
        gone: _Gone = {}
        sets: dict[str, bool] = {}
        reason = newest.reason
        for message in messages:
            before = len(gone) + len(sets)
            self._find_gone(message, now, gone)
            self._find_gone_sets(message, now, sets)
            if len(gone) + len(sets) > before and not _asked_for(message):
                reason = message.reason
        self._correct(now, gone)
        gone_sets = GoneSets(
            [name for name, wanted in sets.items() if not wanted],
            [name for name, wanted in sets.items() if wanted],
        )
        recovered = (
            any(map(_died, messages)) or _Operation.OUTCOME_LOST in gone.values() or bool(gone_sets.lost)
        )
        lost = self._record(gone, gone_sets, newest.number, recovered=recovered)
        return Replaced(
            reason_of(reason) or "the interpreter was replaced",
            lost,
            gone_sets.lost,
            rewound=_asked_for(newest),
            recovered=recovered,
            execution_count=self._count_after(newest),
            under=newest.operation_id,
        )

    def _find_gone(self, message: runner_pb2.InterpreterReplaced, now: _Now, gone: _Gone) -> None:
        outcome = _Operation.OUTCOME_ROLLED_BACK if _asked_for(message) else _Operation.OUTCOME_LOST
        if message.state_lost:
            for name in self._log.kept_effects():
                if name not in now.kept:
                    gone.setdefault(name, outcome)
        for name in message.lost_operation_ids:
            entry = self._log.get(name)
            if entry is None:
                raise RunnerViolation("effects of an operation that was never submitted are lost")
            if _may_go(entry):
                gone.setdefault(name, outcome)

    def _find_gone_sets(
        self, message: runner_pb2.InterpreterReplaced, now: _Now, gone: dict[str, bool]
    ) -> None:
        """Add the variables that were set and went, each with whether that was asked for."""
        known = self._log.set
        check_counts(message.restored_state, message.newest_state)
        if message.newest_state and message.restored_state > message.newest_state:
            raise RunnerViolation("restored to a state that never was")
        for name in sets_gone_with(self._log, message):
            gone.setdefault(name, _asked_for(message))
        if message.newest_state:
            known.leave_out(-1 if message.state_lost else message.restored_state, message.newest_state)
        if now.gap:  # who knows how far back it went meanwhile
            for name in known.after(0):
                gone.setdefault(name, False)

    def _correct(self, now: _Now, gone: _Gone) -> None:
        """Add what only shows in what the journal says of its operations now; UNKNOWN where nothing does."""
        for name, outcome in now.gone.items():
            entry = self._log.get(name)
            if entry is not None and _may_go(entry):
                gone.setdefault(name, outcome)
        if now.gap:
            for name in self._log.kept_effects():
                if name not in now.kept:
                    gone.setdefault(name, _Operation.OUTCOME_UNKNOWN)

    def _record(self, gone: _Gone, sets: GoneSets, number: int, *, recovered: bool) -> list[str]:
        """Write it down, the losses last: once the number is written the rest is not asked for again."""
        log = self._log
        names = sorted(gone, key=log.number_of)
        for outcome in (_Operation.OUTCOME_ROLLED_BACK, _Operation.OUTCOME_UNKNOWN):
            if some := [name for name in names if gone[name] == outcome]:
                log.take_back(some, outcome)
        lost = [name for name in names if gone[name] == _Operation.OUTCOME_LOST]
        # The newest LOST is the newest recovery: what was only stopped on purpose does not take its place.
        last = _Operation.OUTCOME_LOST if recovered else _Operation.OUTCOME_ROLLED_BACK
        log.take_back(lost, last, number, sets)
        return lost

    def _count_after(self, message: runner_pb2.InterpreterReplaced) -> int | None:
        name = message.restored_operation_id
        if not name:
            return None if message.state_lost else self._log.origin_count
        if self._log.get(name) is None:
            raise RunnerViolation("restored to an operation that was never submitted")
        return self._log.operation(name).execution_count


class _Now:
    """What a journal says has become of the effects of its operations. ``gap``: not all replacements were told."""

    def __init__(self) -> None:
        self.kept: set[str] = set()
        self.gone: _Gone = {}
        self.gap = False

    @classmethod
    def of(cls, hello: runner_pb2.Hello) -> _Now:
        now = cls()
        for each in hello.operations:
            if each.effects_lost or each.outcome == _Operation.OUTCOME_LOST:
                now.gone[each.operation_id] = _Operation.OUTCOME_LOST
            elif each.finished and each.outcome == _Operation.OUTCOME_ROLLED_BACK:
                now.gone[each.operation_id] = _Operation.OUTCOME_ROLLED_BACK
            else:
                now.kept.add(each.operation_id)
        return now


def sets_gone_with(log: OperationLog, message: runner_pb2.InterpreterReplaced) -> list[str]:
    """Return the variables that were set through the API and went with an interpreter.

    A supervisor that numbers no states leaves open whether the newest were in the snapshot: they are among these, then.
    """
    if message.state_lost:
        return log.set.after(-1)
    if message.newest_state:
        return log.set.after(message.restored_state)
    return log.set.after_rank(log.rank_of(message.restored_operation_id))


def _died(message: runner_pb2.InterpreterReplaced) -> bool:
    return message.state_lost or not (message.rewound or reason_of(message.reason) in _STOPPED)


def _may_go(entry: LogEntry) -> bool:
    """Whether an operation has effects that can go, or may have by the time that its end is heard of."""
    return not entry.before_reset and (not entry.finished or entry.outcome in KEPT_EFFECT)


def _asked_for(message: runner_pb2.InterpreterReplaced) -> bool:
    # When nothing could be woken more went than was asked for.
    return message.rewound and not message.state_lost
