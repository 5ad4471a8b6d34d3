"""Bases of the workspace for what begins: taken when it is its turn, where its rollback is to return the files too."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sandbank_runner.supervisor.ledger import Ledger
from sandbank_runner.supervisor.operations import Operation
from sandbank_runner.supervisor.queue import Step
from sandbank_runner.supervisor.scheduling import Files, needs_base
from sandbank_runner.supervisor.transactions import Transaction
from sandbank_runner.supervisor.workspace import Workspace


class FileBases:
    """``running`` gives the operations that run, ``again`` looks at the queue once more."""

    def __init__(
        self,
        workspace: Workspace,
        ledger: Ledger,
        running: Callable[[], Iterable[Operation]],
        again: Callable[[], None],
    ) -> None:
        self._workspace = workspace
        self._ledger = ledger
        self._running = running
        self._again = again
        self._taken: tuple[Step, int, int] | None = None
        """For what the newest base was taken, after which effect, and its number: it is good for that although an
        upload came meanwhile."""
        workspace.pinned = self._pinned

    def situation(self, step: Step) -> Files:
        """Return how things are for ``step``."""
        return Files(
            based=self.base_for(step) is not None,
            basing=self._workspace.taking,
            refusal=self._workspace.refusal,
        )

    def base_for(self, step: Step) -> int | None:
        """Return the base that ``step`` can begin with; None where it needs none, or there is none yet."""
        if not needs_base(step, self._ledger.transactions):
            return None
        newest = self._ledger.effects.newest
        if self._taken is not None and self._taken[0] is step and self._taken[1] == newest:
            return self._taken[2]
        return self._workspace.standing(newest)

    def take(self, step: Step) -> None:
        """Take one for ``step``, which waits for it."""
        newest = self._ledger.effects.newest

        def taken(number: int | None) -> None:
            self._taken = None if number is None else (step, newest, number)
            self._again()

        self._workspace.take(newest, taken)

    def tidy(self) -> None:
        """Something ended: let go of what nobody needs any more."""
        self._taken = None
        self._workspace.tidy()

    def is_as_before(self, transaction: Transaction) -> bool:
        """Whether nothing ran and nothing was uploaded since a transaction began, as far as its files go."""
        base = transaction.files_base
        return base is None or base == self._workspace.standing(self._ledger.effects.newest)

    def _pinned(self) -> set[int]:
        opened = self._ledger.transactions.open
        wanted = {operation.files_base for operation in self._running()}
        wanted.add(None if opened is None else opened.files_base)
        wanted.add(None if self._taken is None else self._taken[2])
        return {number for number in wanted if number is not None}
