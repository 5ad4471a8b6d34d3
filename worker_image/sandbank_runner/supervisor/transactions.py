"""The explicit transactions of a session: at most one is open, and those that ended are remembered for a while."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from sandbank.v1.transaction_pb2 import Transaction as TransactionMessage

from sandbank_runner.supervisor.operations import Terms

REMEMBERED = 1024
"""Ended transactions that are known by id: whoever asks again to end one is told how it ended."""


@dataclass(slots=True)
class Transaction:
    """Times are nanoseconds since the epoch."""

    transaction_id: str
    terms: Terms
    base: int
    """The state before it."""
    begin_time: int
    expire_time: int
    operation_ids: list[str] = field(default_factory=list)
    files_base: int | None = None
    """The base of the workspace from before it, where its rollback returns the files too."""
    committed: bool | None = None
    """How it ended; None while it is open."""

    def touch(self, now: int) -> None:
        """Something happened in it: its idle time begins anew."""
        self.expire_time = now + int(self.terms.idle_timeout * 1e9)

    def message(self, session_id: str) -> TransactionMessage:
        """Return it as the public API shows it."""
        states = TransactionMessage.State
        message = TransactionMessage(
            transaction_id=self.transaction_id,
            session_id=session_id,
            state=states.STATE_OPEN
            if self.committed is None
            else states.STATE_COMMITTED
            if self.committed
            else states.STATE_ROLLED_BACK,
            operation_ids=self.operation_ids,
            include_files=self.terms.include_files,
        )
        message.begin_time.FromNanoseconds(self.begin_time)
        message.expire_time.FromNanoseconds(self.expire_time)
        return message


class Transactions:
    """What there is of them."""

    def __init__(self) -> None:
        self.open: Transaction | None = None
        self._ended: OrderedDict[str, Transaction] = OrderedDict()

    def find(self, transaction_id: str) -> Transaction | None:
        """Return one by its id, open or ended."""
        if self.open is not None and self.open.transaction_id == transaction_id:
            return self.open
        return self._ended.get(transaction_id)

    def begin(self, transaction_id: str, terms: Terms, base: int, now: int) -> Transaction:
        """Open one."""
        assert self.open is None
        self.open = Transaction(transaction_id, terms, base, begin_time=now, expire_time=now)
        self.open.touch(now)
        return self.open

    def end(self, *, committed: bool) -> Transaction:
        """End the open one."""
        transaction, self.open = self.open, None
        assert transaction is not None
        transaction.committed = committed
        self._ended[transaction.transaction_id] = transaction
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)
        return transaction
