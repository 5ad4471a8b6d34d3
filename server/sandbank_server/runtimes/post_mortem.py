"""Why a sandbox ended, in a short sentence for operators."""

from __future__ import annotations

import signal

_LINE_LENGTH = 200


def describe_exit(exit_code: int | None, *, oom_killed: bool, log: bytes = b"") -> str:
    """Return the sentence; ``log`` is the end of what the supervisor wrote, untrusted bytes.

    An engine sets its out-of-memory flag when any process of a container was killed for memory. Only with
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


def _signal_name(number: int) -> str | None:
    try:
        return signal.Signals(number).name
    except ValueError:
        return None


def _last_line(log: bytes) -> str:
    lines = [line.strip() for line in log.decode("utf-8", "replace").splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    return "".join(char if char.isprintable() else "?" for char in last[:_LINE_LENGTH])
