"""How many sandboxes are wanted, and how patiently."""

from __future__ import annotations


class RefillPause:
    """Holds refilling back while acquisitions come thick and fast.

    Starting containers takes the processors that a burst of CreateSession needs, and a burst ends sooner than
    one start does. The pause ends ``quiet_time`` after the last acquisition, and ``quiet_limit`` after the
    first at the latest.
    """

    def __init__(self, quiet_time: float, quiet_limit: float) -> None:
        self._quiet_time = quiet_time
        self._quiet_limit = quiet_limit
        self._began = 0.0
        self.until = 0.0

    def acquired(self, now: float) -> None:
        """Somebody got a sandbox that was READY."""
        if now >= self.until:
            self._began = now
        self.until = min(now + self._quiet_time, self._began + self._quiet_limit)


class Surplus:
    """Says when more READY sandboxes than wanted have been there for long enough."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._since: float | None = None

    def due_at(self, surplus: int, now: float) -> float | None:
        """Return when to shed ``surplus`` sandboxes (now or earlier: at once), None when there are none."""
        if surplus <= 0:
            self._since = None
            return None
        if self._since is None:
            self._since = now
        return self._since + self._patience
