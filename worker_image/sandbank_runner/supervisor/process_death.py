"""Why a process died, in words: for people who read events, errors and logs."""

from __future__ import annotations

import os
import signal


def describe(status: int, *, out_of_memory: bool = False) -> str:
    """Return "killed by SIGSEGV", "exited with code 3" or "out of memory" for a wait status."""
    if os.WIFEXITED(status):
        return f"exited with code {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    if number == signal.SIGKILL and out_of_memory:
        return "out of memory"
    try:
        return f"killed by {signal.Signals(number).name}"
    except ValueError:
        return f"killed by signal {number}"
