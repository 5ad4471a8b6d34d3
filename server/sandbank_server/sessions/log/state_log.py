"""What the operation log records of the session's state as a whole: checkpoints, losses, and ways back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence

from sandbank.v1 import execution_pb2, transaction_pb2

from sandbank_server.sessions.log.named_effects import Gone
from sandbank_server.sessions.log.planned_move import PlannedMove
from sandbank_server.sessions.log.replay import LogReplay
from sandbank_server.sessions.log.set_variables import NO_SETS, GoneSets
from sandbank_server.sessions.log.state import End
from sandbank_server.sessions.recovery.deaths import VARIABLES_BYTES, newest_names

_Operation = execution_pb2.Operation
_Transaction = transaction_pb2.Transaction


class StateLog(LogReplay):
    """A log that can be written to by those who look after the state."""

    @abstractmethod
    def _note(self, fields: dict[str, object]) -> None:
        """Write a line about what has happened."""

    @abstractmethod
    def _plan(self, fields: dict[str, object]) -> None:
        """Write a line about what is to happen. StoreUnavailableError."""

    @abstractmethod
    def gone_with(self, operation_ids: Sequence[str]) -> Gone:
        """Return the names that go with the effects of operations, oldest first."""

    def lose_effects(
        self,
        replacement: int = 0,
        survivors: frozenset[str] = frozenset(),
        unheard: Iterable[str] = (),
        *,
        goes_on: bool = False,
    ) -> list[str]:
        """Record that the session's state is gone, and return the operations whose effects went with it.

        Outcomes that promised an effect become LOST, but for those of ``survivors``; those before the last
        :meth:`reset` had theirs ended by the user, and stay. ``replacement`` is the runner's number of the
        replacement of the interpreter that did it, remembered in :attr:`replacements`; 0 where the whole sandbox
        went. ``unheard``: operations whose end is still to come, and whose effects went too. ``goes_on``: it is part of
        the loss before, which has not been told yet.
        """
        lost = [name for name in self.kept_effects() if name not in survivors] + list(unheard)
        self.take_back(lost, _Operation.OUTCOME_LOST, replacement, goes_on=goes_on)
        return lost

    def take_back(
        self,
        operation_ids: Sequence[str],
        outcome: _Operation.Outcome,
        replacement: int | None = None,
        sets: GoneSets = NO_SETS,
        *,
        goes_on: bool = False,
    ) -> None:
        """Record that the effects of operations are gone, also of some whose end is still to come.

        ``outcome``: LOST, ROLLED_BACK where that was asked for, UNKNOWN. ``replacement`` as in :meth:`lose_effects`;
        None: the number that is known stays. ``sets``: variables that were set and went, too.
        """
        self._take_back(operation_ids, outcome, replacement, sets, goes_on=goes_on)
        fields: dict[str, object] = {"k": "o", "oc": outcome, "ops": list(operation_ids)}
        if replacement is not None:
            fields["n"] = replacement
        if sets.lost:
            fields["s"] = list(sets.lost)
        if sets.taken_back:
            fields["z"] = list(sets.taken_back)
        if goes_on:
            fields["a"] = 1
        self._note(fields)

    def reset(self) -> None:
        """Record that the user ended the state, so that a later loss does not count what came before."""
        self._mark_reset()
        self._note({"k": "r"})

    def go_back(self, checkpoint_id: str, execution_count: int, *, losing: bool = False) -> None:
        """Record that the state is a checkpoint's: its own effects are in it again, those after it are not.

        ``losing``: nobody wanted that, so those become LOST. Of another session's checkpoint no effect is known here.
        """
        if losing:
            survivors = self.covered_by(checkpoint_id)
            if lost := [name for name in self.kept_effects() if name not in survivors]:
                self.take_back(lost, _Operation.OUTCOME_LOST)
        self._go_back(checkpoint_id, execution_count)
        self._note({"k": "b", "cp": checkpoint_id, "n": execution_count})

    def plan_move(self, planned: PlannedMove) -> None:
        """Record where the session will go on; the catalog's row comes next. StoreUnavailableError."""
        self._plan(planned.fields())
        self.planned = planned

    def move(self, generation: int) -> bool:
        """Record that the session goes on in another sandbox, which counts its replacements and transactions anew.

        Its state there is what :attr:`planned` says; False where that is not known. Begun again after a kill it comes
        to the same: the last line says that it is done.
        """
        planned = self.planned
        known = planned is not None and planned.generation == generation
        if planned is not None and known:
            if planned.checkpoint_id is None:
                self.reset()
            else:
                self.go_back(planned.checkpoint_id, planned.execution_count, losing=planned.losing)
        self._move(generation)
        self._note({"k": "m", "g": generation})
        return known

    def cover(
        self,
        operation_id: str,
        checkpoint_id: str,
        *,
        uploads: int = 0,
        sets: int = 0,
        sandbox_state: int = 0,
        ends: Iterable[End] = (),
    ) -> None:
        """Record that a checkpoint is durable, of the state that has the effects up to an operation's.

        ``uploads``: it has the files that had come in when :attr:`newest_upload` was that. ``sandbox_state``: the
        sandbox's number of the state, by which it has variables that were set; where it says none, ``sets``: those that
        had been set when :attr:`set` counted so many. ``ends``: operations whose effects it has and whose end is not
        recorded yet; should all die now, it is known how they ended.
        """
        ends = list(ends)
        self._cover(operation_id, checkpoint_id, uploads, sets=sets, sandbox_state=sandbox_state, ends=ends)
        fields: dict[str, object] = {"k": "c", "op": operation_id, "cp": checkpoint_id, "u": uploads}
        if sandbox_state:
            fields["at"] = sandbox_state
        elif sets:
            fields["s"] = sets
        if ends:
            fields["e"] = ends
        self._note(fields)

    def note_end(self, operation_id: str, state: _Operation.State, outcome: _Operation.Outcome) -> None:
        """Record how an operation ended whose end is told once that is synced; should all die now, it is known."""
        self._note_end(operation_id, state, outcome)
        self._note({"k": "h", "op": operation_id, "st": state, "oc": outcome})

    def set_variable(self, name: str, operation_id: str, sandbox_state: int = 0) -> int:
        """Record a variable that was set through the API, after an operation, so that a recovery can name it.

        ``sandbox_state``: the sandbox's number of the state that has it, 0 where it says none. Returns the number by
        which :attr:`set` knows it.
        """
        rank = self._rank_before_a_set(operation_id)
        self._note({"k": "v", "p": name, "n": rank, **({"at": sandbox_state} if sandbox_state else {})})
        return self.set.add(name, rank, sandbox_state)

    def set_in_transaction(
        self, transaction_id: str, name: str, operation_id: str, sandbox_state: int = 0
    ) -> None:
        """Record the same of one that was set in a transaction: it counts from when that is committed."""
        transaction = self.transactions.get(transaction_id)
        if transaction is not None and transaction.state == _Transaction.STATE_COMMITTED:
            self.set_variable(name, operation_id, sandbox_state)  # its end was told before this was answered
        elif transaction is not None and not transaction.ended:
            rank = self._rank_before_a_set(operation_id)
            self._note({"k": "v", "p": name, "n": rank, "at": sandbox_state, "tx": transaction_id})
            self.set.add_in_transaction(name, rank, sandbox_state)

    def upload(self, path: str) -> None:
        """Record a file that came in through the API, so that a recovery can name it when it is lost."""
        if self._files.is_news(path):
            self._note({"k": "f", "p": path})
            self._files.add(path)

    def remove_files(self, path: str) -> None:
        """Record that a file, or a directory with all in it, was deleted through the API: so it cannot be lost."""
        if self._files.remove(path):
            self._note({"k": "g", "p": path})

    def forget_files(self) -> None:
        """Record that the user emptied the workspace: what was in it cannot be lost."""
        self._note({"k": "x"})
        self._files_from = self._finished
        self._files.clear()

    def lose_files(self, checkpoint_id: str = "") -> list[str]:
        """Record that the workspace went with its sandbox; return the files that no checkpoint brings back.

        Those that came in by uploads, and those that operations told to have written. The variables that were set and
        that it does not bring back are forgotten: see :meth:`sets_missing_in`.

        ``checkpoint_id``: the one from which the session goes on, empty for none.
        """
        sets = self.sets_missing_in(checkpoint_id)
        self.set.forget(sets)
        writers = self._writers_since(checkpoint_id)
        lost = dict.fromkeys((*self.gone_with(writers).files, *self._files.lose(checkpoint_id)))
        files, variables = newest_names(list(lost))[0], newest_names(sets, VARIABLES_BYTES)[0]
        self._note_loss((), files, variables, goes_on=True)
        self._files_from = self._finished
        fields: dict[str, object] = {"k": "y", "p": checkpoint_id, "l": list(files)}
        if variables:
            fields["s"] = list(variables)
        self._note(fields)
        return list(lost)
