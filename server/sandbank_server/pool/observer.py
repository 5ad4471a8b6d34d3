"""What is measured of pools. Gauges are read from the snapshots when they are asked for."""

from __future__ import annotations

from typing import Protocol

from sandbank_server.pool.state import SandboxState


class PoolObserver(Protocol):
    """Whoever measures. Must not raise, nor take long: it is called in the middle of decisions."""

    def sandbox_started(self, template: str, seconds: float) -> None:
        """A sandbox became READY, ``seconds`` after the decision to start it."""

    def start_failed(self, template: str) -> None:
        """A sandbox did not become READY."""

    def sandbox_lost(self, template: str, state: SandboxState, reason: str) -> None:
        """A sandbox died that was READY or ASSIGNED; ``reason`` may hold words of the sandbox's own."""

    def waited(self, template: str, seconds: float, outcome: str) -> None:
        """Count a caller that waited: ``granted``, ``cancelled``, or a reason of the API in lower case."""


class NoObserver:
    """Measures nothing."""

    def sandbox_started(self, template: str, seconds: float) -> None:
        """See :class:`PoolObserver`."""

    def start_failed(self, template: str) -> None:
        """See :class:`PoolObserver`."""

    def sandbox_lost(self, template: str, state: SandboxState, reason: str) -> None:
        """See :class:`PoolObserver`."""

    def waited(self, template: str, seconds: float, outcome: str) -> None:
        """See :class:`PoolObserver`."""
