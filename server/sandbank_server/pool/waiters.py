"""Who waits for a sandbox: a bounded queue, first come, first served."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiter:
    """One caller. ``lease_id`` grows from caller to caller, so it is also the order of arrival."""

    lease_id: int
    session_id: str
    deadline: float


class WaiterQueue:
    """The callers that wait, in order of arrival; those with an offer in flight are not in here."""

    def __init__(self) -> None:
        self._waiting: dict[int, Waiter] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Waiter]:
        return iter(self._waiting.values())

    def __contains__(self, lease_id: object) -> bool:
        return lease_id in self._waiting

    def join(self, waiter: Waiter) -> None:
        """Stand at the end."""
        self._waiting[waiter.lease_id] = waiter

    def rejoin(self, waiter: Waiter) -> None:
        """Stand where its arrival puts it: what it was offered is gone, which is not its fault."""
        self._waiting[waiter.lease_id] = waiter
        self._waiting = dict(sorted(self._waiting.items()))

    def leave(self, lease_id: int) -> bool:
        """Leave, wherever it stands; False when it is not here."""
        return self._waiting.pop(lease_id, None) is not None

    def first(self) -> Waiter:
        """Take out who is next."""
        return self._waiting.pop(next(iter(self._waiting)))
