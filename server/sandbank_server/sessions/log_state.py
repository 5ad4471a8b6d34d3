"""What an operation log says, in memory: operations, transactions, files."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from typing import cast

from sandbank.v1 import execution_pb2, transaction_pb2

from sandbank_server.sessions.log_entry import KEPT_EFFECT, LogEntry, Terms
from sandbank_server.sessions.transaction_ledger import ASKED_FOR, TransactionLedger
from sandbank_server.sessions.uploaded_files import UploadedFiles

_Operation = execution_pb2.Operation
_Transaction = transaction_pb2.Transaction
USUAL_TERMS = Terms()


class LogState:
    """The content of one session's log."""

    def __init__(self) -> None:
        self.transactions = TransactionLedger()
        self.replacements = 0
        """The number of the newest replacement of the interpreter that is in here."""
        self.transaction_changes = 0
        """The number of the newest change of a transaction that is in here."""
        self.generation = 0
        """Whose sandbox counts so; 0 for the first one's."""
        self.last_loss: list[str] = []
        """The operations of the newest loss of state, so that a recovery that was never saved can still be told."""
        self._files = UploadedFiles()
        self._entries: dict[str, LogEntry] = {}
        self._order: list[str] = []
        self._finished = 0
        self._covers: list[tuple[int, str]] = []
        """Checkpoints by the rank of the newest operation whose effects they have, each greater than the one before."""
        self._later_covers: dict[str, int] = {}
        """The other checkpoints."""

    # Reading.

    def get(self, operation_id: str) -> LogEntry | None:
        """Return what is known of an operation, None when it was never recorded."""
        return self._entries.get(operation_id)

    @property
    def uploaded(self) -> Collection[str]:
        """The files of the workspace that came in through the API, oldest first."""
        return self._files.names

    @property
    def newest_upload(self) -> int:
        """The number of the newest file that came in."""
        return self._files.newest

    @property
    def last_lost_files(self) -> list[str]:
        """The files of the newest loss."""
        return self._files.last_lost

    def __len__(self) -> int:
        """Return how many operations were recorded."""
        return len(self._order)

    def number_of(self, operation_id: str) -> int:
        """Return an operation's place in the order of all. KeyError for an unknown id."""
        return self._entries[operation_id].number

    def newest_first(self, before: int, count: int) -> list[tuple[str, LogEntry]]:
        """Return up to ``count`` operations with a number below ``before``, the newest first."""
        ids = self._order[max(0, min(before, len(self._order)) - count) : min(before, len(self._order))]
        return [(operation_id, self._entries[operation_id]) for operation_id in reversed(ids)]

    def unfinished(self) -> Iterator[tuple[str, LogEntry]]:
        """Yield the operations that have no end yet, oldest first."""
        return ((name, self._entries[name]) for name in self._order if not self._entries[name].finished)

    def kept_effects(self) -> list[str]:
        """Return the operations whose effects are part of the session's state, oldest first."""
        return [
            name
            for name in self._order
            if (entry := self._entries[name]).outcome in KEPT_EFFECT
            and entry.finished
            and not entry.before_reset
        ]

    def rank_of(self, operation_id: str) -> int:
        """Return the rank of a state that has the effects up to an operation's; 0 for the state before any."""
        entry = self._entries.get(operation_id)
        return 0 if entry is None else entry.rank

    def covered_by(self, checkpoint_id: str) -> frozenset[str]:
        """Return the operations whose effects a checkpoint has, as far as this session saved it itself."""
        found = (rank for rank, name in reversed(self._covers) if name == checkpoint_id)
        rank = next(found, self._later_covers.get(checkpoint_id, 0))
        return frozenset(name for name, entry in self._entries.items() if 0 < entry.rank <= rank)

    def durable_checkpoint_of(self, entry: LogEntry) -> str:
        """Return the first durable checkpoint that has an operation's effects, empty where there is none."""
        if not entry.rank or entry.outcome not in KEPT_EFFECT:
            return ""
        at = bisect_left(self._covers, (entry.rank, ""))
        return self._covers[at][1] if at < len(self._covers) else ""

    # Changing.

    def _finish(self, entry: LogEntry) -> None:
        self._finished += 1
        entry.rank = self._finished
        entry.finished = entry.started = True

    def _cover(self, operation_id: str, checkpoint_id: str, uploads: int) -> None:
        self._files.save(checkpoint_id, uploads)
        rank = self.rank_of(operation_id)
        if not self._covers or rank > self._covers[-1][0]:
            self._covers.append((rank, checkpoint_id))
        else:  # of the same state as the one before, or of an older one
            self._later_covers[checkpoint_id] = rank

    def _add(self, operation_id: str, digest: str, create_time_us: int, terms: Terms) -> LogEntry:
        entry = self._entries[operation_id] = LogEntry(len(self._order), digest, create_time_us)
        self._order.append(operation_id)
        if terms.usual:
            return entry
        entry.tx_policy, entry.isolation = terms.tx_policy, terms.isolation
        if terms.begins:
            asked = self.transactions.ask(terms.transaction_id, include_files=terms.include_files)
            asked.begun_by = operation_id
        if (transaction := self.transactions.get(terms.transaction_id)) is not None:
            # The same text for all members: an id for each would cost more than all else that is kept of it.
            entry.transaction_id = transaction.transaction_id
            transaction.members.append(operation_id)
        return entry

    def _remove(self, operation_id: str) -> None:
        # Only ever the newest: a dispatch is withdrawn in the same breath.
        if self._order and self._order[-1] == operation_id:
            self._order.pop()
            entry = self._entries.pop(operation_id)
            if (transaction := self.transactions.get(entry.transaction_id)) is not None:
                transaction.members.remove(operation_id)
                if transaction.begun_by == operation_id:
                    self.transactions.withdraw(transaction.transaction_id)

    def _outcome_now(self, entry: LogEntry, operation: execution_pb2.Operation) -> _Operation.Outcome:
        if entry.outcome != _Operation.OUTCOME_UNSPECIFIED:
            return entry.outcome  # known to be gone before its end was heard of
        if operation.outcome != _Operation.OUTCOME_PENDING:
            return operation.outcome
        transaction = self.transactions.get(entry.transaction_id)
        if transaction is None:
            return _Operation.OUTCOME_UNKNOWN
        return transaction.outcome_of_member(operation.state)  # it may have ended meanwhile

    def _end_unopened(self, operation_id: str) -> None:
        """End the transaction that an operation should have begun and did not."""
        current = self.transactions.current
        if current is not None and current.state == ASKED_FOR and current.begun_by == operation_id:
            self._change_transaction(
                current.transaction_id, _Transaction.STATE_ROLLED_BACK, self.transaction_changes
            )

    def _change_transaction(self, transaction_id: str, state: int, number: int) -> None:
        transaction = self.transactions.change(transaction_id, state)
        self.transaction_changes = number
        if not transaction.ended:
            return
        for name in transaction.members:
            entry = self._entries[name]
            if entry.outcome == _Operation.OUTCOME_PENDING:
                entry.outcome = transaction.outcome_of_member(entry.state)

    def _take_back(
        self, operation_ids: Iterable[str], outcome: _Operation.Outcome, replacement: int | None
    ) -> None:
        names = list(operation_ids)
        for name in names:
            self._entries[name].outcome = outcome
        if replacement is not None:
            self.replacements = replacement
        if replacement == 0:
            self.transaction_changes = 0  # the next sandbox counts anew
        if outcome == _Operation.OUTCOME_LOST and replacement is not None:
            self.last_loss, self._files.last_lost = names, []

    def _move(self, generation: int) -> None:
        self.generation, self.replacements, self.transaction_changes = generation, 0, 0

    def _mark_reset(self) -> None:
        for entry in self._entries.values():
            entry.before_reset = True

    def replay(self, fields: dict[str, object], at: int) -> None:
        """Take in what a line says. ValueError, KeyError or TypeError for one that says nothing."""
        kind = fields["k"]
        name = str(fields.get("op", ""))
        if kind == "d":
            self._add(name, str(fields["dg"]), _number(fields["t"]), _terms(fields))
        elif kind == "s":
            self._entries[name].started = True
        elif kind == "e":
            entry = self._entries[name]
            entry.state, entry.outcome = _state(fields["st"]), _outcome(fields["oc"])
            entry.last_sequence, entry.record = _number(fields["q"]), at
            self._finish(entry)
            self._end_unopened(name)
        elif kind == "o":
            operation_ids = fields["ops"]
            if not isinstance(operation_ids, list):
                raise TypeError("not a list")
            number = _number(fields["n"]) if "n" in fields else None
            self._take_back(operation_ids, _outcome(fields["oc"]), number)
        elif kind == "w":
            self._remove(name)
        elif kind in ("r", "m", "c"):
            self._replay_state(kind, fields)
        elif kind in ("ta", "t"):
            self._replay_transaction(kind, fields)
        else:
            self._files.replay(kind, str(fields.get("p", "")))

    def _replay_state(self, kind: str, fields: dict[str, object]) -> None:
        if kind == "r":
            self._mark_reset()
        elif kind == "m":
            self._move(_number(fields["g"]))
        else:
            self._cover(str(fields.get("op", "")), str(fields["cp"]), _number(fields.get("u", 0)))

    def _replay_transaction(self, kind: str, fields: dict[str, object]) -> None:
        name = str(fields["tx"])
        if kind == "ta":
            self.transactions.ask(name, include_files=bool(fields["b"]))
            return
        self._change_transaction(name, _number(fields["st"]), _number(fields["n"]))
        transaction = self.transactions.get(name)
        assert transaction is not None
        transaction.begin_time_us, transaction.expire_time_us = _number(fields["bt"]), _number(fields["et"])
        transaction.base_count, transaction.reason = _number(fields["c"]), str(fields["r"])


def _terms(fields: dict[str, object]) -> Terms:
    if "p" not in fields:
        return USUAL_TERMS
    return Terms(
        tx_policy=_number(fields["p"]),
        isolation=_number(fields["i"]),
        transaction_id=str(fields.get("tx", "")),
        begins="b" in fields,
        include_files=bool(fields.get("b", False)),
    )


def _state(number: object) -> _Operation.State:
    return cast("_Operation.State", _number(number))


def _outcome(number: object) -> _Operation.Outcome:
    return cast("_Operation.Outcome", _number(number))


def _number(value: object) -> int:
    if type(value) is not int:
        raise TypeError("not a number")
    return value
