"""Which files an operation changed: the workspace as it was after the one before, compared with what it is now."""

from __future__ import annotations

import time
from typing import Any

from sandbank_runner.files.changes import changes, shown
from sandbank_runner.files.index import Index, take
from sandbank_runner.interpreter.sealed import seal

seal(globals())

CHANGES = 1_000
"""Most changes that are told of one operation."""
_CHARACTERS = 256 * 1024
"""What their paths may come to."""
_PATH_CHARACTERS = 4_096

_AT_ANY_TIME_SECONDS = 0.005
"""A look that takes no more of the processor is taken after every operation."""
_SHARE = 20
"""One that takes longer is taken at most once in so many times as long."""

_monotonic, _spent = time.monotonic, time.thread_time

Told = tuple[list[list[Any]], bool]
"""[[path, kind]], and whether that is not all, or not of this operation alone."""


class WorkspaceFiles:
    """Keeps the index. What other processes and threads change between two operations counts for the later one."""

    __slots__ = ("_behind", "_index", "_seconds", "_taken", "_workspace")

    def __init__(self, workspace: str) -> None:
        self._workspace = workspace
        self._index: Index | None = None
        self._behind = False
        """The index is older than the end of the last operation."""
        self._seconds = 0.0
        """What the last look took."""
        self._taken = 0.0
        self.refresh()

    def refresh(self) -> None:
        """Take what is there now for granted: somebody else has changed it."""
        self._look()

    def since_operation(self) -> Told:
        """Return what was changed since the last call."""
        if self._seconds > _AT_ANY_TIME_SECONDS and _monotonic() - self._taken < _SHARE * self._seconds:
            self._behind = True
            return [], True
        return self._compare()

    def since_snapshot(self) -> Told:
        """Return what was changed while this process slept."""
        return self._compare()

    def _compare(self) -> Told:
        before, behind = self._index, self._behind
        after = self._look()
        if before is None or after is None:
            return [], True
        if before is after:
            return [], behind
        told: list[list[Any]] = []
        room = _CHARACTERS
        for path, kind in changes(before, after):
            text = shown(path)
            room -= len(text)
            if len(told) == CHANGES or room < 0 or len(text) > _PATH_CHARACTERS:
                return told, True
            told.append([text, kind])
        return told, behind or before.truncated or after.truncated

    def _look(self) -> Index | None:
        begin = _spent()
        try:
            self._index = take(self._workspace, self._index)
        except BaseException:  # the workspace is gone or closed, or an audit hook of the user's minds
            self._behind = True
            return None
        self._behind = False
        self._taken = _monotonic()
        self._seconds = _spent() - begin
        return self._index
