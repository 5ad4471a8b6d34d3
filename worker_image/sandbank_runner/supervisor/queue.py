"""What waits for its turn: first in, first out, bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sandbank_runner.supervisor.operations import Operation, Terms
from sandbank_runner.supervisor.refusals import Refusal
from sandbank_runner.supervisor.transactions import Transaction
from sandbank_runner.v1.runner_pb2 import ImportVariable, StateResult


@dataclass(frozen=True, eq=False, slots=True)
class Begin:
    """Opens a transaction when everything before it has ended."""

    transaction_id: str
    terms: Terms
    answer: Callable[[Transaction | Refusal], None]


@dataclass(frozen=True, eq=False, slots=True)
class Finish:
    """Ends a transaction when everything before it has ended."""

    transaction_id: str
    commit: bool
    answer: Callable[[Transaction | Refusal], None]


@dataclass(frozen=True, eq=False, slots=True)
class Import:
    """Binds a variable to a value from outside when everything before it has ended, and nothing runs beside it."""

    request: ImportVariable
    answer: Callable[[StateResult | Refusal], None]
    preview_characters: int

    @property
    def transaction_id(self) -> str:
        """The transaction that it is in; empty: none."""
        return self.request.transaction_id


Step = Operation | Begin | Finish | Import


class OperationQueue:
    """Steps in the order of their arrival; operations are found by id as well."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._waiting: OrderedDict[object, Step] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def first(self) -> Step | None:
        """Whose turn it is."""
        return next(iter(self._waiting.values()), None)

    def push(self, step: Step) -> bool:
        """Take ``step`` in; False when the queue is full."""
        if len(self._waiting) >= self.limit:
            return False
        self._waiting[step.operation_id if isinstance(step, Operation) else id(step)] = step
        return True

    def pop(self) -> Step | None:
        """Take out the one whose turn it is."""
        return self._waiting.popitem(last=False)[1] if self._waiting else None

    def withdraw(self, operation_id: str) -> Operation | None:
        """Take out one operation in particular."""
        step = self._waiting.pop(operation_id, None)
        assert step is None or isinstance(step, Operation)
        return step

    def clear(self) -> list[Step]:
        """Take out all, oldest first."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        return waiting
