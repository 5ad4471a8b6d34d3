"""What is known of changes since a checkpoint; kept by the change reports, asked by the writer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Protocol


class Ledger(Protocol):
    """Counts changes from the checkpoint that was last acknowledged, its base."""

    noted: Callable[[Iterable[str] | None], None]
    """Is told of each change too; None: anything may have changed."""

    @property
    def base(self) -> str:
        """Return the checkpoint that changes are counted from; "" where there is none."""

    def names(self) -> Collection[str] | None:
        """Return the names that may have changed since the base, those gone included; None: nobody knows."""

    def catch_up(self) -> None:
        """Look for what nobody has reported."""

    def begin(self, checkpoint_id: str) -> None:
        """Take note of a checkpoint that is being written: what changes from here on is not in it."""

    def ended(self, checkpoint_id: str, durable: bool) -> None:
        """Count from that checkpoint on, or add again what was counted before it."""

    def restored(self, checkpoint_id: str) -> None:
        """Count from a checkpoint that was just loaded."""
