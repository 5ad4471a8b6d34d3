"""How an operation is stopped that runs in a thread beside others."""

from __future__ import annotations

from typing import Protocol


class Host(Protocol):
    """What is needed of an interpreter."""

    def interrupt_operation(self, operation_id: str) -> bool:
        """Have one of its operations interrupted; False where nobody is there to do it."""

    def kill(self, why: str) -> None:
        """End it, for a reason to be told."""


class InThread:
    """One operation, as something that a ladder stops. Where the interrupt does not help, those beside it end too."""

    __slots__ = ("_host", "_operation_id")

    def __init__(self, host: Host, operation_id: str) -> None:
        self._host = host
        self._operation_id = operation_id

    def interrupt(self) -> bool:
        """Interrupt its thread."""
        return self._host.interrupt_operation(self._operation_id)

    def kill(self, why: str) -> None:
        """End the interpreter."""
        self._host.kill(why)
