"""What an operation log says, in memory: operations, transactions, files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from sandbank.v1 import execution_pb2, transaction_pb2

from sandbank_server.sessions.log.coverage import Coverage
from sandbank_server.sessions.log.entry import KEPT_EFFECT, LogEntry, Terms
from sandbank_server.sessions.log.planned_move import PlannedMove
from sandbank_server.sessions.log.set_variables import NO_SETS, UNRANKED, GoneSets, SetVariables
from sandbank_server.sessions.log.transaction_ledger import ASKED_FOR, TransactionLedger
from sandbank_server.sessions.log.uploaded_files import UploadedFiles

_Operation = execution_pb2.Operation
_Transaction = transaction_pb2.Transaction
USUAL_TERMS = Terms()

End = tuple[str, _Operation.State, _Operation.Outcome]
"""Of an operation: its id, and how it ended."""


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
        self.planned: PlannedMove | None = None
        """Where the session is to go on, as far as the catalog says so."""
        self.resets = 0
        """How often somebody ended the state."""
        self.last_loss: list[str] = []
        """The operations of the newest loss of state, so that a recovery that was never saved can still be told."""
        self.origin, self.origin_count = "", 0
        """The checkpoint that the session's interpreter began with, empty for none, and its execution count."""
        self.coverage = Coverage()
        self._saved_ends: dict[str, tuple[str, _Operation.State, _Operation.Outcome]] = {}
        """Operations whose end is known although nobody was told: the checkpoint that has their effects, if any."""
        self._files = UploadedFiles()
        self.set = SetVariables()
        """The variables that were set through the API."""
        self._files_from = 0
        """Operations of a rank above this wrote into the workspace of today."""
        self._entries: dict[str, LogEntry] = {}
        self._order: list[str] = []
        self._finished = 0

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

    def uploads_missing_in(self, checkpoint_id: str) -> list[str]:
        """Return the files that came in and that a checkpoint does not have."""
        return self._files.missing_in(checkpoint_id)

    @property
    def newest_set(self) -> int:
        """The number of the newest variable that was set through the API."""
        return self.set.newest

    def sets_missing_in(self, checkpoint_id: str) -> list[str]:
        """Return the variables that were set through the API and that a checkpoint does not have."""
        return self.set.missing_in(checkpoint_id, self.coverage.has)

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

    def _rank_before_a_set(self, operation_id: str) -> int:
        entry = self._entries.get(operation_id)
        # One whose end is not recorded yet has no rank: what was set after it is no older than the first operation.
        return UNRANKED if entry is not None and not entry.finished else self.rank_of(operation_id)

    def covered_by(self, checkpoint_id: str) -> frozenset[str]:
        """Return the operations whose effects a checkpoint has, as far as this session saved it itself."""
        has = self.coverage.has
        return frozenset(name for name, entry in self._entries.items() if has(checkpoint_id, entry.rank))

    def durable_checkpoint_of(self, entry: LogEntry) -> str:
        """Return the first durable checkpoint that has an operation's effects, empty where there is none."""
        if not entry.rank or entry.outcome not in KEPT_EFFECT:
            return ""
        return self.coverage.first_with(entry.rank)

    def saved_end(self, operation_id: str) -> tuple[_Operation.State, _Operation.Outcome] | None:
        """Return how an operation ended that has no end here, because nobody was told yet."""
        saved = self._saved_ends.get(operation_id)
        return None if saved is None else saved[1:]

    def saved_in(self, operation_id: str) -> str:
        """Return the checkpoint that has such an operation's effects, empty where there is none."""
        saved = self._saved_ends.get(operation_id)
        return "" if saved is None else saved[0]

    def is_gone(self, operation_id: str) -> bool:
        """Whether an operation's effects are known to be gone before its end is told."""
        entry = self._entries.get(operation_id)
        return entry is not None and not entry.finished and entry.outcome != _Operation.OUTCOME_UNSPECIFIED

    @property
    def finished_count(self) -> int:
        """How many operations have an end."""
        return self._finished

    def _writers_since(self, checkpoint_id: str) -> list[str]:
        """Return the operations that may have written files which are in no checkpoint, oldest first."""
        has = self.coverage.has
        found = [
            (entry.rank, name)
            for name, entry in self._entries.items()
            if entry.named and entry.rank > self._files_from and not has(checkpoint_id, entry.rank)
        ]
        return [name for _, name in sorted(found)]

    # Changing.

    def _finish(self, operation_id: str, entry: LogEntry) -> None:
        self._finished += 1
        entry.rank = self._finished
        if (saved := self._saved_ends.pop(operation_id, None)) is not None and saved[0]:
            self.coverage.add(saved[0], entry.rank)
        entry.finished = entry.started = True

    def _cover(
        self,
        operation_id: str,
        checkpoint_id: str,
        uploads: int,
        *,
        sets: int = 0,
        sandbox_state: int = 0,
        ends: Iterable[End] = (),
    ) -> None:
        self._files.save(checkpoint_id, uploads)
        self.set.save(checkpoint_id, sets, sandbox_state)
        self.coverage.add(checkpoint_id, self.rank_of(operation_id))
        for name, state, outcome in ends:
            self._saved_ends[name] = checkpoint_id, state, outcome

    def _note_end(self, operation_id: str, state: _Operation.State, outcome: _Operation.Outcome) -> None:
        self._saved_ends[operation_id] = "", state, outcome

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
        self.set.end_transaction(committed=state == _Transaction.STATE_COMMITTED)
        for name in transaction.members:
            entry = self._entries[name]
            if entry.outcome == _Operation.OUTCOME_PENDING:
                entry.outcome = transaction.outcome_of_member(entry.state)

    def _take_back(
        self,
        operation_ids: Iterable[str],
        outcome: _Operation.Outcome,
        replacement: int | None,
        sets: GoneSets = NO_SETS,
        *,
        goes_on: bool = False,
    ) -> None:
        names = list(operation_ids)
        self.set.forget((*sets.lost, *sets.taken_back))
        for name in names:
            self._entries[name].outcome = outcome
        if replacement is not None:
            self.replacements = replacement
        if replacement == 0:
            self.transaction_changes = 0  # the next sandbox counts anew
        if outcome == _Operation.OUTCOME_LOST and replacement is not None:
            self._note_loss(names, [], sets.lost, goes_on=goes_on)

    def _note_loss(
        self, operations: Iterable[str], files: Iterable[str], sets: Iterable[str], *, goes_on: bool
    ) -> None:
        """It is the newest loss, or, where that ``goes_on``, part of it: what was not told yet is still to be told."""
        before: tuple[list[str], list[str], list[str]] = ([], [], [])
        if goes_on:
            before = self.last_loss, self._files.last_lost, self.set.last_lost
        self.last_loss = list(dict.fromkeys((*before[0], *operations)))
        self._files.last_lost = list(dict.fromkeys((*before[1], *files)))
        self.set.last_lost = list(dict.fromkeys((*before[2], *sets)))

    def _move(self, generation: int) -> None:
        self.generation, self.replacements, self.transaction_changes = generation, 0, 0
        self.set.move()
        self._note_loss((), (), (), goes_on=False)  # the row that the session moves with tells of all of them
        self.planned = None

    def _mark_reset(self) -> None:
        self.origin, self.origin_count = "", 0
        self.resets += 1
        self.coverage.go_back("", self._finished)
        self.set.clear()
        for entry in self._entries.values():
            entry.before_reset = True

    def _go_back(self, checkpoint_id: str, execution_count: int) -> None:
        self.origin, self.origin_count = checkpoint_id, execution_count
        self.coverage.go_back(checkpoint_id, self._finished)
        self._files.go_back(checkpoint_id)
        self.set.forget(self.sets_missing_in(checkpoint_id))
        self._files_from = self._finished
        for entry in self._entries.values():
            entry.before_reset = not self.coverage.has_now(entry.rank)
