"""What the session has and has not any more: settles outcomes when it goes back or a transaction ends, and tells.

What is told is also kept, for a control plane that was away.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from sandbank_runner.supervisor.candidates import Restoration
from sandbank_runner.supervisor.effects import Effects
from sandbank_runner.supervisor.interpreters import Death
from sandbank_runner.supervisor.journal import Journal
from sandbank_runner.supervisor.operations import Operation, Terms
from sandbank_runner.supervisor.restore_points import Mark, WayBack
from sandbank_runner.supervisor.transactions import Transaction, Transactions
from sandbank_runner.v1.runner_pb2 import FromRunner, Hello, InterpreterReplaced, TransactionChanged

KEPT = 64
"""How many replacements, and how many changes of transactions, are kept."""

ROLLBACK = "rollback"
"""``killed_for`` of an interpreter that is killed to go back, because that was asked for or is the policy."""


class Ledger:
    """``tell`` sends a message if somebody listens."""

    def __init__(
        self, session_id: str, journal: Journal, tell: Callable[[FromRunner], bool], now: Callable[[], int]
    ) -> None:
        self.effects = Effects()
        self.transactions = Transactions()
        self.execution_count = 0
        self._session_id = session_id
        self._journal = journal
        self._tell = tell
        self._now = now
        self._replaced: deque[InterpreterReplaced] = deque(maxlen=KEPT)
        self._changed: deque[TransactionChanged] = deque(maxlen=KEPT)

    @property
    def mark(self) -> Mark:
        """The state as it is."""
        return Mark(self.effects.state, self.effects.operation_id, self.execution_count)

    def begin(self, operation: Operation, now: int) -> None:
        """An operation begins."""
        self.execution_count += 1
        base = self.effects.state
        operation.start(self.execution_count, base, self.effects.begin(operation.operation_id), now)
        opened = self.transactions.open
        if opened is not None:
            opened.operation_ids.append(operation.operation_id)

    def begin_transaction(self, transaction_id: str, terms: Terms) -> Transaction:
        """Open a transaction in the state as it is."""
        opened = self.transactions.begin(transaction_id, terms, self.effects.state, self._now())
        self._tell_of(opened, "")
        return opened

    def end_transaction(self, *, committed: bool, reason: str) -> Transaction:
        """End the open transaction and settle what its operations came to."""
        ended = self.transactions.end(committed=committed)
        for operation_id in ended.operation_ids:
            record = self._journal.find(operation_id)
            if record is not None:
                record.operation.settle(committed=committed)
        self._tell_of(ended, reason)
        return ended

    def reset(self, restoration: Restoration | None = None) -> None:
        """There will be a pristine interpreter, as somebody wanted, or one with a state from outside."""
        if self.transactions.open is not None:
            self.end_transaction(committed=False, reason="restore" if restoration else "reset")
        if restoration is None:
            self.effects.reset()
            self.execution_count = 0
        else:
            self.effects.restore(restoration.operation_id)
            self.execution_count = restoration.execution_count

    def went_back(
        self, death: Death, way: WayBack, *, operation_id: str, reason: str, asked_for: bool = False
    ) -> bool:
        """Another interpreter has taken over; True where it is in the very state that was wanted.

        ``operation_id`` is what it died under, ``reason`` why a transaction ends by it. Nothing is told of a rollback
        that did just what it was to do.
        """
        restored = death.restored
        if restored is None:
            self.effects.go_back(self.effects.origin, "")
        else:
            mark = restored.point.mark
            self.effects.go_back(mark.state, mark.operation_id)
            self.execution_count = mark.execution_count
        state = self.effects.state
        exactly = restored is not None and state == way.wanted
        opened = self.transactions.open
        only_a_member = exactly and way.exact is not None and not asked_for
        ends = opened is not None and not (only_a_member and state >= opened.base)
        lost = self._journal.lose(state, asked_for=asked_for and exactly)
        if death.interpreter.killed_for != ROLLBACK or not exactly or asked_for:
            replaced = InterpreterReplaced(
                operation_id=operation_id,
                reason=death.cause,
                state_lost=restored is None,
                number=(self._replaced[-1].number if self._replaced else 0) + 1,
                restored_operation_id=self.effects.operation_id,
                lost_operation_ids=() if restored is None else lost,
                rewound=asked_for and exactly,
                restored_state=state,
                newest_state=self.effects.newest,
            )
            self._replaced.append(replaced)
            self._tell(FromRunner(interpreter_replaced=replaced))
        if ends:
            self.end_transaction(committed=False, reason=reason)
        return exactly

    def describe(self, hello: Hello) -> None:
        """Tell in ``hello`` what has been told so far."""
        hello.execution_count = self.execution_count
        hello.replacements.extend(self._replaced)
        if self._replaced:
            hello.last_replaced.CopyFrom(self._replaced[-1])
        hello.transactions.extend(self._changed)

    def is_told_in(self, hello: Hello) -> bool:
        """Whether nothing has happened since ``hello``."""
        changed = hello.transactions[-1].number if hello.transactions else 0
        return (self._replaced[-1].number if self._replaced else 0) == hello.last_replaced.number and (
            self._changed[-1].number if self._changed else 0
        ) == changed

    def _tell_of(self, transaction: Transaction, reason: str) -> None:
        changed = TransactionChanged(
            transaction=transaction.message(self._session_id).SerializeToString(),
            reason=reason,
            number=(self._changed[-1].number if self._changed else 0) + 1,
        )
        self._changed.append(changed)
        self._tell(FromRunner(transaction_changed=changed))
