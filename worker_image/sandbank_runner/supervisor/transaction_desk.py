"""Opens and ends explicit transactions when it is their turn, and rolls an idle one back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sandbank_runner.supervisor.file_bases import FileBases
from sandbank_runner.supervisor.going_back import GoingBack
from sandbank_runner.supervisor.interpreter_process import Interpreter
from sandbank_runner.supervisor.lazy_timer import LazyTimer
from sandbank_runner.supervisor.ledger import ROLLBACK, Ledger
from sandbank_runner.supervisor.operations import Operation
from sandbank_runner.supervisor.queue import Begin, Finish
from sandbank_runner.supervisor.restore_points import WayBack
from sandbank_runner.supervisor.snapshots import Snapshots
from sandbank_runner.supervisor.transactions import Transaction
from sandbank_runner.supervisor.ways_back import Errand

_BUSY_SECONDS = 0.05
"""How soon to look again at an idle transaction while the interpreter has something else to do."""


class TransactionDesk:
    """``idle`` gives the interpreter when nothing runs or waits, ``again`` looks at the queue once more."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ledger: Ledger,
        snapshots: Snapshots,
        bases: FileBases,
        going_back: GoingBack,
        *,
        now: Callable[[], int],
        idle: Callable[[], Interpreter | None],
        again: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._snapshots = snapshots
        self._bases = bases
        self._going_back = going_back
        self._now = now
        self._idle = idle
        self._again = again
        self._timer = LazyTimer(loop, _BUSY_SECONDS, self._when_idle)

    def begin(self, step: Begin) -> None:
        """Open a transaction, unless it is known already."""
        known = self._ledger.transactions.find(step.transaction_id)
        if known is None:
            base = self._bases.base_for(step)
            known = self._ledger.begin_transaction(step.transaction_id, step.terms)
            known.files_base = base
        step.answer(known)
        self.activity()

    def begin_with(self, operation: Operation) -> None:
        """Open the transaction that an operation begins, if it does."""
        if operation.begins is not None and self._ledger.transactions.open is None:
            begun = self._ledger.begin_transaction(operation.transaction_id, operation.begins)
            begun.files_base = operation.files_base if operation.begins.include_files else None

    def finish(self, step: Finish, interpreter: Interpreter) -> None:
        """End a transaction, unless it has ended that way already."""
        transaction = self._ledger.transactions.find(step.transaction_id)
        assert transaction is not None
        if transaction.committed is not None:
            step.answer(transaction)
        elif step.commit:
            step.answer(self._ledger.end_transaction(committed=True, reason="commit"))
            self._tidy()
        else:
            self._roll_back(transaction, ROLLBACK, interpreter, lambda: step.answer(transaction))

    def activity(self) -> None:
        """Something happened: an open transaction's idle time begins anew."""
        opened = self._ledger.transactions.open
        if opened is not None:
            opened.touch(self._now())
            self._timer.touch(opened.terms.idle_timeout)

    def _roll_back(
        self, transaction: Transaction, reason: str, interpreter: Interpreter, done: Callable[[], None]
    ) -> None:
        """End the open transaction in the state before it."""
        if self._ledger.effects.state == transaction.base and self._bases.is_as_before(transaction):
            self._ledger.end_transaction(committed=False, reason=reason)
            self._tidy()
            done()
        else:
            way = WayBack(limit=transaction.base, limit_files=transaction.files_base)
            self._going_back.go(interpreter, Errand(way, reason, lambda _: done()))

    def _when_idle(self) -> None:
        opened = self._ledger.transactions.open
        if opened is None:
            return
        interpreter = self._idle()
        if interpreter is None:
            self._timer.touch()  # the end of what runs begins the time anew
        else:
            self._roll_back(opened, "idle for too long", interpreter, self._again)

    def _tidy(self) -> None:
        self._snapshots.tidy()
        self._bases.tidy()
