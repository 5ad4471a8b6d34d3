"""What is typed at the prompt: when it is complete, where it comes from, and the history of it."""

from __future__ import annotations

import ast
import atexit
import codeop
import contextlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from sandbank.cli.repl_completion import Completer

HISTORY_LENGTH = 2000

_compiler = codeop.Compile()
_compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def needs_more(lines: list[str]) -> bool:
    """Return whether these lines are the beginning of something longer.

    A block ends with an empty line, as at Python's own prompt; a cell magic does too. What is wrong, or is
    for IPython and no Python at all, is complete: the session says what it thinks of it.
    """
    if not lines or not any(line.strip() for line in lines):
        return False
    ended = lines[-1].strip() == ""
    if lines[0].startswith("%%"):
        return not ended
    if lines[0].lstrip().startswith(("%", "!", "?")) or lines[-1].rstrip().endswith("?"):
        return False
    if len(lines) > 1 and lines[-1][:1] in {" ", "\t"} and not ended:
        return True
    source = "\n".join(lines)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the session warns, once
            return codeop._maybe_compile(_compiler, source, "<input>", "exec") is None  # type: ignore[attr-defined]  # noqa: SLF001
    except (SyntaxError, OverflowError, ValueError, MemoryError, RecursionError):
        return False


class Typed:
    """Lines from a terminal, with line editing and a history where this Python has readline, or from a script."""

    def __init__(self) -> None:
        self.interactive = sys.stdin.isatty()
        self._history = History() if self.interactive else None
        self._completer: Completer | None = None

    def complete_with(self, completer: Completer) -> None:
        """Have Tab complete what is typed, where there is a line editor."""
        if self._history is not None and self._history.readline is not None:
            completer.install(self._history.readline)
            self._completer = completer

    def source(self, prompt: str) -> str:
        """Return the next piece of code or command, whole. Raises EOFError where there is no more."""
        more = "... ".rjust(len(prompt))
        lines = self._lines(prompt, [])
        while not lines[0].startswith(":") and needs_more(lines):
            try:
                lines += self._lines(more, lines)
            except EOFError:
                if self.interactive:
                    raise
                break  # a script may end with a block
        source = "\n".join(lines)
        if self._history is not None:
            self._history.add(lines)
        return source

    def _lines(self, prompt: str, before: list[str]) -> list[str]:
        """Return a line, or the lines that were pasted at once; `before` are those above it."""
        if self.interactive:
            return self._typed(prompt, before).split("\n")
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return [line.removesuffix("\n")]

    def _typed(self, prompt: str, before: list[str]) -> str:
        if self._completer is None:
            return input(prompt)
        self._completer.before = before
        try:
            return input(prompt)
        finally:
            self._completer.before = None  # whatever else is asked at the terminal is no code


class History:
    """What was typed at the prompt, in a file of the user's; never what was typed for code that asked."""

    def __init__(self) -> None:
        self.readline: Any = None
        try:
            import readline  # noqa: PLC0415 - absent on some systems
        except ImportError:
            return
        self.readline = readline
        with contextlib.suppress(OSError):
            readline.read_history_file(history_path())
        readline.set_history_length(HISTORY_LENGTH)
        readline.set_auto_history(False)
        atexit.register(self._save)

    def add(self, lines: list[str]) -> None:
        """Remember these lines."""
        if self.readline is None:
            return
        for line in lines:
            if line.strip():
                self.readline.add_history(line)

    def _save(self) -> None:
        path = history_path()
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.readline.write_history_file(path)


def history_path() -> Path:
    """Return where the history is kept: the user's state directory."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "sandbank" / "history"
