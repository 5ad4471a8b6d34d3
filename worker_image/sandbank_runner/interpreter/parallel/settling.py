"""The end of an operation: what it did to the names is merged or dropped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from sandbank_runner.interpreter.parallel import warnings
from sandbank_runner.interpreter.parallel.names import Changes, Ledger, changes_of
from sandbank_runner.interpreter.parallel.operation import NamespaceOperation
from sandbank_runner.interpreter.parallel.rebinding import rebind
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_CONFLICTS: Final = 1_000
"""Names that are told."""


@dataclass(slots=True)
class Settled:
    """What became of it."""

    is_merged: bool = False
    conflicts: list[str] = field(default_factory=list)
    """Names for which nothing was merged."""
    warnings: list[dict[str, Any]] = field(default_factory=list)
    failure: BaseException | None = None
    """What broke this off."""

    @property
    def is_lost(self) -> bool:
        """Nothing was done with what the operation did, and nobody wanted that."""
        return self.failure is not None and not (self.is_merged or self.conflicts)


def settle(operation: NamespaceOperation, ledger: Ledger, running: Iterable[NamespaceOperation]) -> Settled:
    """Settle an operation whose thread has ended. Does not raise; an audit hook of the user's may, in what is called.

    The end of objects that are let go of is user code; what that writes is the operation's.
    """
    settled = Settled()
    if not operation.is_prepared:
        return settled
    try:
        operation.context.run(_settle, operation, ledger, running, settled)
    except BaseException as error:
        settled.failure = error
    operation.is_open = False
    return settled


def _settle(
    operation: NamespaceOperation,
    ledger: Ledger,
    running: Iterable[NamespaceOperation],
    settled: Settled,
) -> None:
    written = ledger.written_elsewhere()
    for other in running:
        other.written |= written
    left: list[str] = []
    if operation.outcome.error is None:
        changes = changes_of(operation.branch)
        operation.touched = changes.touched()
        conflicts = ledger.conflicts(operation.branch, changes)
        if conflicts:
            settled.conflicts = warnings.bounded(conflicts, _CONFLICTS)
        else:
            left = _merge(operation, changes, ledger)
            settled.is_merged = True
    settled.warnings = warnings.on_bindings(operation, ledger.names, written, left)
    settled.warnings += warnings.on_mutations(operation)
    operation.forget()
    operation.output.finish()


def _merge(operation: NamespaceOperation, changes: Changes, ledger: Ledger) -> list[str]:
    """Merge, and give the session's globals to what the operation defined; return what could not be given them."""
    branch, home = operation.branch, ledger.names
    for name, value in changes.bound.items():
        if value is branch.names:  # globals()
            changes.bound[name] = home
    branch.clones.drop()
    left = rebind(branch.names, home, changes.bound, held=1)  # the branch
    ledger.merge(changes)
    if operation.last is not None:
        ledger.keep_last(operation.last)
    return left
