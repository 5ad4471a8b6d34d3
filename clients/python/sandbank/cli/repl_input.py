"""When what was typed at the prompt is complete, and the history of it."""

from __future__ import annotations

import ast
import atexit
import codeop
import contextlib
import os
import warnings
from pathlib import Path

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


def history_path() -> Path:
    """Return where the history is kept: the user's state directory."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "sandbank" / "history"


def use_history() -> None:
    """Give the prompt line editing and a history, where this Python has readline."""
    try:
        import readline  # noqa: PLC0415 - absent on some systems
    except ImportError:
        return
    path = history_path()
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(HISTORY_LENGTH)

    def save() -> None:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(path)

    atexit.register(save)
