"""Where to go back to when an interpreter is dead: pure decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sandbank_runner.supervisor.effects import Effects
from sandbank_runner.supervisor.operations import Operation
from sandbank_runner.supervisor.restore_points import WayBack
from sandbank_runner.supervisor.transactions import Transaction


def _nothing(_: bool) -> None:
    return


@dataclass(frozen=True, slots=True)
class Errand:
    """The interpreter is killed on purpose, to go back."""

    way: WayBack
    reason: str
    """Why a transaction ends by it."""
    done: Callable[[bool], None] = _nothing
    """Told whether the session is in the state that was wanted."""
    rewinds: bool = False


def after_death(running: Iterable[Operation], transaction: Transaction | None, effects: Effects) -> WayBack:
    """Tell where to go back to when the interpreter died, of itself or because an operation had to be killed.

    The interpreter's death rolls a transaction back, but not the kill that ended one member or a savepoint.
    """
    operations = list(running)
    state = min((operation.base for operation in operations), default=effects.state)
    files = next((operation.files_base for operation in operations), None)
    if transaction is None:
        return WayBack(limit=state, limit_files=files)
    whole = files if transaction.files_base is None else transaction.files_base
    if operations and all(operation.is_undone_alone for operation in operations):
        return WayBack(limit=transaction.base, exact=state, limit_files=whole, exact_files=files)
    return WayBack(limit=transaction.base, limit_files=whole)


def after_failure(operation: Operation, transaction: Transaction | None) -> Errand:
    """Return the errand that undoes an operation by its policy."""
    files = operation.files_base
    if transaction is None:
        way = WayBack(limit=operation.base, exact=operation.base, limit_files=files, exact_files=files)
    else:
        whole = files if transaction.files_base is None else transaction.files_base
        way = WayBack(limit=transaction.base, exact=operation.base, limit_files=whole, exact_files=files)
    return Errand(
        way,
        f"the snapshot before operation {operation.operation_id} was gone",
    )
