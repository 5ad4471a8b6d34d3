"""How a build says where it is, and how it is told to stop."""

from __future__ import annotations

import enum
import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from sandbank_server.templates.errors import TemplateBuildCancelledError

LOG_LINES = 40
"""How many lines of a step's log are kept for an error."""
LOG_LINE_LENGTH = 300

_COLOURS = re.compile("\x1b\\[[0-9;]*m")


class BuildPhase(enum.Enum):
    """The steps of a build, in their order. A step whose result is there already is skipped."""

    WAITING = "waiting for another build of this template"
    BASE = "getting the base image"
    LOCKING = "locking the packages"
    DOWNLOADING = "downloading the packages"
    INSTALLING = "installing the packages"
    RUNNER = "adding the runner"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """A step has begun or moved on; ``detail`` is one line of plain text, perhaps empty."""

    template: str
    phase: BuildPhase
    detail: str = ""


class LogTail:
    """The last lines of a log, bounded in number and length, without control characters."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=LOG_LINES)

    def add(self, text: str) -> str:
        """Add a line; returns it as kept, empty if nothing was left of it."""
        plain = _COLOURS.sub("", text[: 4 * LOG_LINE_LENGTH])
        line = "".join(c if c.isprintable() else " " for c in plain).strip()
        line = line[:LOG_LINE_LENGTH]
        if line:
            self._lines.append(line)
        return line

    def lines(self) -> tuple[str, ...]:
        """Return the kept lines, oldest first."""
        return tuple(self._lines)


class BuildWatch:
    """Carries progress out of a build and the wish to stop into it. Safe to cancel from any thread."""

    def __init__(
        self,
        template: str,
        on_progress: Callable[[BuildProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        self.template = template
        self.cancel = cancel or threading.Event()
        self._on_progress = on_progress
        self._phase = BuildPhase.WAITING

    def enter(self, phase: BuildPhase, detail: str = "") -> None:
        """Begin a phase. Raises :class:`TemplateBuildCancelledError` when the build was told to stop."""
        self.check()
        self._phase = phase
        self.note(detail)

    def note(self, detail: str) -> None:
        """Report a line within the phase."""
        if self._on_progress is not None:
            self._on_progress(BuildProgress(self.template, self._phase, detail))

    def check(self) -> None:
        """Raise :class:`TemplateBuildCancelledError` when the build was told to stop."""
        if self.cancel.is_set():
            raise TemplateBuildCancelledError(f"building template {self.template} was cancelled")
