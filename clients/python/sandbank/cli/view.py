"""How one operation is shown: as it runs, and at its end."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

from sandbank.cli.command import Cli
from sandbank.cli.terminal import OutputWriter, plain
from sandbank.events import Display
from sandbank.results import Callbacks, Result
from sandbank.sync.scope import Scope
from sandbank.sync.transaction import Transaction


class View:
    """Shows one operation: output as it comes, figures as files, the value and the error at the end."""

    def __init__(self, cli: Cli, figures: Path, name: str) -> None:
        self._cli, self._figures, self._name = cli, figures, name
        self._out, self._err = OutputWriter(sys.stdout), OutputWriter(sys.stderr)
        self._paths: list[Path] = []

    @property
    def quiet(self) -> bool:
        """Whether standard output is for the result alone."""
        return self._cli.as_json

    @property
    def callbacks(self) -> Callbacks:
        """What to call while it runs; nothing is shown early with --json."""
        if self._cli.as_json:
            return Callbacks()
        return Callbacks(self._out.text, self._err.text, self._display)

    def question(self, text: str) -> None:
        """Show what the code asks, behind what it wrote."""
        (self._err if self.quiet else self._out).text(text)

    def answered(self) -> None:
        """Take note that the answer was typed below it, and ended the line."""
        (self._err if self.quiet else self._out).line_ended()

    def finish(self, scope: Scope, result: Result) -> None:
        """Show the end."""
        if self._cli.as_json:
            self._cli.json(self._data(scope, result))
            return
        png = result.operation.result.get("image/png")
        if png:
            self._figure(png)
        elif result.text:
            self._out.end()
            self._out.text(result.text)
        self._out.end()
        if result.error is not None:
            self._err.text(result.error.traceback_text or result.summary)
        self._err.end()
        self._notes(scope, result)

    def _notes(self, scope: Scope, result: Result) -> None:
        """Say what else there is to know, on standard error."""
        if result.conflicting_names or (not result.ok and result.state != "FAILED"):
            self._cli.fail(result.summary)
        elif result.outcome == "PENDING" and not isinstance(scope, Transaction):
            self._cli.say(f"pending in transaction {result.transaction_id}")
        if result.outcome == "ROLLED_BACK":
            self._cli.say("rolled back")
        if result.dropped_bytes:
            self._cli.say(f"{result.dropped_bytes} bytes of output were dropped")
        if not result.complete:
            self._cli.say("some output was dropped before it could be read")
        for warning in result.operation.warnings:
            self._cli.say(f"{warning.code}: {warning.message}")

    def _display(self, display: Display) -> None:
        if display.png:
            self._figure(display.png)
        elif display.text:
            self._out.text(display.text)
            self._out.end()

    def _figure(self, png: bytes) -> None:
        self._out.end()
        path = self._save(png)
        self._cli.out.print(f"[figure: {plain(str(path))}]", markup=False, style="cyan", soft_wrap=True)

    def _save(self, png: bytes) -> Path:
        self._figures.mkdir(parents=True, exist_ok=True)
        path = self._figures / f"{self._name}-{len(self._paths) + 1}.png"
        path.write_bytes(png)
        self._paths.append(path)
        return path

    def _data(self, scope: Scope, result: Result) -> dict[str, Any]:
        for png in result.figures:
            self._save(png)
        return {
            "session_id": scope.session_id,
            "state": result.state,
            "outcome": result.outcome,
            "value": result.value,
            "stdout": result.stdout,
            "stderr": result.stderr,
            "figures": [str(path) for path in self._paths],
            "displays": [
                {mime: _text_or_base64(mime, data) for mime, data in display.data.items()}
                for display in result.displays
            ],
            "dropped_bytes": result.dropped_bytes,
            "operation": result.operation,
        }


def _text_or_base64(mime: str, data: bytes) -> str:
    if mime.startswith("text/") or mime in {"application/json", "image/svg+xml"}:
        return data.decode("utf-8", "replace")
    return base64.b64encode(data).decode("ascii")
