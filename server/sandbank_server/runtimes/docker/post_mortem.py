"""Why a container ended, in a short sentence for operators."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

_LINE_LENGTH = 200


def describe_exit(exit_code: int | None, *, oom_killed: bool, log: bytes = b"") -> str:
    """Return the sentence; ``log`` is the end of what the supervisor wrote, untrusted bytes.

    The engine sets its out-of-memory flag when any process of the container was killed for memory. Only with
    the exit code of SIGKILL was it the supervisor.
    """
    if exit_code is None:
        return "ended"
    if exit_code == 128 + signal.SIGKILL:
        return "killed: out of memory" if oom_killed else "killed by SIGKILL"
    if exit_code > 128 and (name := _signal_name(exit_code - 128)):
        return f"killed by {name}"
    last = _last_line(log)
    return f"exited with code {exit_code}" + (f": {last}" if last else "")


def exit_code_of(state: Mapping[str, Any]) -> int | None:
    """Return the exit code of an inspected container that has run, None of one that never did."""
    finished = str(state.get("FinishedAt", ""))
    if finished.startswith("0001-"):
        return None
    code = state.get("ExitCode")
    return code if isinstance(code, int) else None


def _signal_name(number: int) -> str | None:
    try:
        return signal.Signals(number).name
    except ValueError:
        return None


def _last_line(log: bytes) -> str:
    lines = [line.strip() for line in log.decode("utf-8", "replace").splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    return "".join(char if char.isprintable() else "?" for char in last[:_LINE_LENGTH])
