"""What a person in front of `sandbank serve`, and a script behind it, gets to see of the start.

On a terminal one line moves with the builds; elsewhere there is a line for each phase. The address goes
to standard output and to the ready file; everything else to standard error, beside the log.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status

from sandbank_server.templates.progress import BuildPhase, BuildProgress


class Announcer:
    """Says what goes on. A context manager: at the end the terminal is as it was, and the ready file gone."""

    def __init__(self, ready_file: Path | None = None) -> None:
        self._ready_file = ready_file
        self._out = Console(markup=False, highlight=False, soft_wrap=True)
        self._console = Console(stderr=True, markup=False, highlight=False)
        self._status: Status | None = None
        self._building: dict[str, BuildProgress] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hide()
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)

    def listening(self, address: str, runtime: str) -> None:
        """Say that calls are answered at ``address``, which has the real port."""
        self._out.print(f"sandbank listens on {address} ({runtime} runtime)")
        self._out.file.flush()
        if self._ready_file is not None:
            # Whoever sees the file can read it whole.
            temporary = self._ready_file.with_name(f".{self._ready_file.name}.{os.getpid()}")
            temporary.write_text(f"{address}\n")
            temporary.replace(self._ready_file)

    def ended(self, sessions: int) -> None:
        """Say that the server has ended, and what it leaves: so many sessions in their sandboxes."""
        if sessions:
            what = "session goes on in its sandbox" if sessions == 1 else "sessions go on in their sandboxes"
            self._console.print(
                f"{sessions} {what}: the next start takes up what is left "
                "(and then `sandbank drain --end` would end it)",
                soft_wrap=True,
            )

    def warning(self, text: str) -> None:
        """Say something that must not be missed."""
        self._console.print(f"warning: {text}", style="yellow", soft_wrap=True)

    def building(self, progress: BuildProgress) -> None:
        """Show how the build of an image goes."""
        before = self._building.get(progress.template)
        begun = before is None or before.phase is not progress.phase
        if progress.phase is BuildPhase.DONE:
            self._building.pop(progress.template, None)
        else:
            self._building[progress.template] = progress
        if self._console.is_terminal:
            self._show()
        elif begun and (before is not None or progress.phase is not BuildPhase.DONE):
            self._console.print(f"{progress.template}: {progress.phase.value}", soft_wrap=True)

    def built(self, template: str, image: str) -> None:
        """Say that a template can be used."""
        self.build_ended(template)
        self._console.print(f"{template}: ready ({image})", soft_wrap=True)

    def build_ended(self, template: str) -> None:
        """Stop showing a build, whatever came of it."""
        self._building.pop(template, None)
        if self._console.is_terminal:
            self._show()

    def _show(self) -> None:
        if not self._building:
            self._hide()
            return
        parts = [f"{name}: {now.phase.value}  {now.detail}" for name, now in sorted(self._building.items())]
        line = " · ".join(parts)[: max(40, self._console.width - 4)]
        if self._status is None:
            self._status = self._console.status(line)
            self._status.start()
        else:
            self._status.update(line)

    def _hide(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
