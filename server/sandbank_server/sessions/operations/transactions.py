"""The explicit transactions of one session: what is refused at the door, how one is opened and ended.

The supervisor decides; what it has decided is in the operation log before its answer comes (see ``mirror``). So
whatever is asked is looked up there first: that makes ending idempotent, also when the sandbox is long gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sandbank.v1 import transaction_pb2
from sandbank_runner.v1 import runner_pb2

from sandbank_server.errors import (
    BadFieldError,
    NoSuchTransactionError,
    SessionBusyError,
    SnapshotsDisabledError,
    TransactionOpenError,
)
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.runners.link import LinkClosed, RequestFailed, RunnerLink
from sandbank_server.sessions.log.entry import Terms
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.log.transaction_ledger import ASKED_FOR, LoggedTransaction
from sandbank_server.sessions.operations.submission import Submission
from sandbank_server.sessions.refusals import refusal
from sandbank_server.sessions.views import transaction_message

_State = transaction_pb2.Transaction


class Transactions:
    """The transactions of one session. ``usable`` returns the link to its sandbox, or raises why there is none."""

    def __init__(
        self,
        log: OperationLog,
        usable: Callable[[], Awaitable[RunnerLink]],
        new_id: Callable[[], str],
        *,
        snapshots_disabled: bool,
    ) -> None:
        self._log = log
        self._usable = usable
        self._new_id = new_id
        self._snapshots_disabled = snapshots_disabled
        self._lock = asyncio.Lock()
        self._ending = ""

    # At the door.

    def admit(self, submission: Submission) -> Terms:
        """Return what a new operation is sent with.

        :class:`TransactionOpenError`, :class:`NoSuchTransactionError`, :class:`SnapshotsDisabledError`, and
        :class:`BadFieldError` for files that its transaction does not include.
        """
        if submission.needs_snapshots:
            self._check_snapshots()
        transaction_id = submission.request.transaction_id
        if not transaction_id:
            self._check_none_open()
            return submission.terms(self._new_id() if submission.begins else "")
        transaction = self._log.transactions.get(transaction_id)
        if transaction is None or transaction.ended or transaction_id == self._ending:
            raise _no_such(transaction_id, transaction)
        plain = submission.tx_policy == transaction_pb2.TX_POLICY_EXPLICIT
        if plain and submission.request.include_files and not transaction.include_files:
            raise BadFieldError.at("include_files", "the transaction was begun without files")
        return submission.terms(transaction_id)

    def check_may_begin(self) -> None:
        """Raise what keeps a transaction from being begun now."""
        self._check_snapshots()
        self._check_none_open()

    def _check_snapshots(self) -> None:
        if self._snapshots_disabled:
            raise SnapshotsDisabledError("the session was created without snapshots")

    def _check_none_open(self) -> None:
        current = self._log.transactions.current
        if current is not None:
            raise TransactionOpenError(
                f"transaction {current.transaction_id} is open: name it, or end it first",
                resource=current.transaction_id,
            )

    # Opening.

    async def open(
        self, link: RunnerLink, transaction_id: str, idle_timeout: float, *, include_files: bool
    ) -> None:
        """Record that one is asked for, ask, and wait until it is open: once all that was submitted before has ended.

        Raises as :meth:`check_may_begin`, what the log raises, and what the sandbox refuses it with.
        :class:`SessionBusyError` where the link breaks: it is rolled back then as soon as there is another, because
        nobody has been told of it.
        """
        self.check_may_begin()
        transaction = self._log.ask_transaction(transaction_id, include_files=include_files)
        begin = runner_pb2.BeginTransaction(
            transaction_id=transaction.transaction_id, include_files=transaction.include_files
        )
        begin.idle_timeout.FromNanoseconds(int(idle_timeout * 1e9))
        try:
            await link.request(timeout=None, begin_transaction=begin)
        except RequestFailed as error:
            self.never_opened(transaction, error.reason)
            raise refusal(error) from error
        except (LinkClosed, TimeoutError) as error:
            transaction.unanswered = True
            raise SessionBusyError("the sandbox did not answer; try again", retry_delay=0.5) from error
        if transaction.state == ASKED_FOR:
            link.violate(RunnerViolation("an open transaction that was not told of"))
            raise SessionBusyError("the sandbox did not answer; try again", retry_delay=0.5)

    def never_opened(self, transaction: LoggedTransaction, reason: str) -> None:
        """Record that one that was asked for will not open."""
        if transaction.state == ASKED_FOR:
            transaction.reason = reason
            self._log.end_transaction(transaction)

    # Ending.

    def answer(self, transaction_id: str, *, commit: bool) -> transaction_pb2.Transaction | None:
        """See :func:`ended_as_wished`."""
        return ended_as_wished(self._log, transaction_id, commit=commit)

    async def end(self, transaction_id: str, *, commit: bool) -> None:
        """Commit or roll back, once its running operations have ended; :meth:`answer` has the result then.

        Of several who ask at once the first decides, and the others find what it did. Raises as :meth:`answer`, what
        ``usable`` raises, and what the sandbox refuses it with.
        """
        end = runner_pb2.EndTransaction(transaction_id=transaction_id, commit=commit)
        async with self._lock:
            while self.answer(transaction_id, commit=commit) is None:
                link = await self._usable()
                if self.answer(transaction_id, commit=commit) is not None:
                    return
                if link.closed.is_set():
                    raise SessionBusyError("the sandbox is being looked for; try again", retry_delay=0.5)
                self._ending = transaction_id
                try:
                    await self._request_end(link, end)
                finally:
                    self._ending = ""

    async def _request_end(self, link: RunnerLink, end: runner_pb2.EndTransaction) -> None:
        transaction = self._log.transactions.get(end.transaction_id)
        assert transaction is not None
        try:
            await link.request(timeout=None, end_transaction=end)
        except RequestFailed as error:
            if transaction.ended:
                return  # by itself, in the same moment: what became of it is known
            if error.reason == "NO_SUCH_TRANSACTION" and transaction.state != ASKED_FOR:
                link.violate(RunnerViolation("an open transaction of its own is not there"))
            raise refusal(error) from error
        except (LinkClosed, TimeoutError):
            # Found out from the next greeting, or from the sandbox's end.
            await link.closed.wait()
            return
        if not transaction.ended:
            link.violate(RunnerViolation("an ended transaction that was not told of"))


def ended_as_wished(
    log: OperationLog, transaction_id: str, *, commit: bool
) -> transaction_pb2.Transaction | None:
    """Return a transaction if it has ended as is wished, None while it has not ended.

    :class:`NoSuchTransactionError` if it ended the other way, or never was.
    """
    transaction = log.transactions.get(transaction_id)
    other = _State.STATE_ROLLED_BACK if commit else _State.STATE_COMMITTED
    if transaction is None or transaction.state == other:
        raise _no_such(transaction_id, transaction)
    return transaction_message(log, transaction) if transaction.ended else None


async def roll_back_unclaimed(log: OperationLog, link: RunnerLink, transaction: LoggedTransaction) -> None:
    """End a transaction whose opening was never answered: nobody knows of it, and it would keep everybody out.

    :class:`LinkClosed` and TimeoutError when the link breaks: it is tried again over the next.
    """
    end = runner_pb2.EndTransaction(transaction_id=transaction.transaction_id, commit=False)
    try:
        await link.request(timeout=None, end_transaction=end)
    except RequestFailed:
        if transaction.state == ASKED_FOR:  # it never got there
            log.end_transaction(transaction)


def _no_such(transaction_id: str, transaction: LoggedTransaction | None) -> NoSuchTransactionError:
    text = f"no transaction {transaction_id} is open"
    if transaction is not None and transaction.ended:
        how = "committed" if transaction.state == _State.STATE_COMMITTED else "rolled back"
        text = f"transaction {transaction_id} was {how}"
        if transaction.reason not in ("", "commit", "rollback"):
            text += f": {transaction.reason}"
    elif transaction is not None:
        text = f"transaction {transaction_id} is being ended"
    return NoSuchTransactionError(text, resource=transaction_id)
