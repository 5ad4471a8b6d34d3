"""Ids that count from 1, so that a failing test reads well."""

from __future__ import annotations

import itertools


class CountedIds:
    """Implements ``sandbank_server.ids.IdFactory``."""

    def __init__(self) -> None:
        self._sandboxes = itertools.count(1)
        self._others = itertools.count(1)

    def sandbox_id(self) -> str:
        """See ``IdFactory``."""
        return f"sb-{next(self._sandboxes):012d}"

    def session_id(self) -> str:
        """See ``IdFactory``."""
        return f"ses-{next(self._others):020d}"

    def operation_id(self) -> str:
        """See ``IdFactory``."""
        return f"op-{next(self._others):020d}"

    def transaction_id(self) -> str:
        """See ``IdFactory``."""
        return f"tx-{next(self._others):020d}"

    def checkpoint_id(self) -> str:
        """See ``IdFactory``."""
        return f"cp-{next(self._others):020d}"

    def request_id(self) -> str:
        """See ``IdFactory``."""
        return f"req-{next(self._others):020d}"
