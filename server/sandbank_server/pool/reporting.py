"""Telling the rest of the control plane what happens: sessions, operators, logs, metrics."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from sandbank_server.clock import Clock
from sandbank_server.pool import actions as do
from sandbank_server.pool.book import Book
from sandbank_server.pool.observer import PoolObserver
from sandbank_server.pool.snapshots import PoolChange, snapshot_pool, snapshot_sandbox
from sandbank_server.pool.watch import Watchers

_log = structlog.get_logger("sandbank.pool")

OnExit = Callable[[str, str, str], None]
"""Told (session id, sandbox id, reason) when a session's sandbox has died. Must not wait."""


class Reporter:
    """Speaks for one pool. Nothing here may raise: whoever listens must not stop the pool."""

    def __init__(
        self, book: Book, clock: Clock, observer: PoolObserver, watchers: Watchers, on_exit: OnExit
    ) -> None:
        self._book = book
        self._clock = clock
        self._observer = observer
        self._watchers = watchers
        self._on_exit = on_exit

    def count_start(self, action: do.CountStart) -> None:
        """Measure a start."""
        self._observer.sandbox_started(self._book.template, action.seconds)

    def count_failure(self, _action: do.CountFailure) -> None:
        """Measure a failed start."""
        self._observer.start_failed(self._book.template)

    def count_loss(self, action: do.CountLoss) -> None:
        """Measure a death."""
        self._observer.sandbox_lost(self._book.template, action.state, action.reason)

    def report_loss(self, action: do.ReportLoss) -> None:
        """Tell a session that its sandbox has died."""
        tell_lost(self._on_exit, action.session_id, action.sandbox_id, action.reason)

    def notice(self, action: do.Notice) -> None:
        """Log what happened, and show it to those who watch."""
        record = action.record
        names = {"template": self._book.template}
        if record is None and not self._book.template:
            return  # the place for strays is no pool of anybody's
        if record is not None:
            names = {
                "template": record.template,
                "sandbox_id": record.sandbox_id,
                "session_id": record.session_id,
            }
        # Looked up each time: a method taken at import would keep the configuration of that moment.
        getattr(_log, action.level.value)(action.message, **names)
        if self._watchers.wanted(self._book.template):
            now = self._clock.now()
            sandbox = None if record is None else snapshot_sandbox(record, self._clock.monotonic(), now)
            self._watchers.publish(PoolChange(now, snapshot_pool(self._book), sandbox, action.message))


def tell_lost(on_exit: OnExit, session_id: str, sandbox_id: str, reason: str) -> None:
    """Call ``on_exit`` and survive it."""
    try:
        on_exit(session_id, sandbox_id, reason)
    except Exception:  # noqa: BLE001 - a listener must not stop the pool from replacing what was lost
        _log.exception("a listener failed", sandbox_id=sandbox_id, session_id=session_id)
