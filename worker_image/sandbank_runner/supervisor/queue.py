"""The operations that wait for their turn: first in, first out, bounded."""

from __future__ import annotations

from collections import OrderedDict

from sandbank_runner.supervisor.operations import Operation


class OperationQueue:
    """Operations in the order of their arrival, found by id as well."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._waiting: OrderedDict[str, Operation] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, operation: Operation) -> bool:
        """Take ``operation`` in; False when the queue is full."""
        if len(self._waiting) >= self.limit:
            return False
        self._waiting[operation.operation_id] = operation
        return True

    def pop(self) -> Operation | None:
        """Take out the one whose turn it is."""
        return self._waiting.popitem(last=False)[1] if self._waiting else None

    def withdraw(self, operation_id: str) -> Operation | None:
        """Take out one in particular."""
        return self._waiting.pop(operation_id, None)

    def clear(self) -> list[Operation]:
        """Take out all, oldest first."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        return waiting
