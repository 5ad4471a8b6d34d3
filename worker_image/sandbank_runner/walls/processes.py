"""Looking at processes by ``/proc``: which live, since when, and whose they are."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Process:
    """One process that is not dead. By pid and start time it is told from a later one with the same pid."""

    pid: int
    parent: int
    start_time: int
    """In ticks of the kernel's clock."""


def pids() -> list[int]:
    """Return all pids, the newest first: what forks on and on is met before it has gone further."""
    return sorted((int(name) for name in os.listdir("/proc") if name.isdigit()), reverse=True)


def living(pid: int) -> Process | None:
    """Look at one process; None when it is dead, reaped or not."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read(2000).rsplit(b")", 1)[1].split()
    except (OSError, IndexError):
        return None
    # A main thread that ended early shows as dead while the others live on.
    if fields[0] in (b"Z", b"X") and int(fields[17]) <= 1:
        return None
    return Process(pid, int(fields[1]), int(fields[19]))


def uids(pid: int) -> tuple[int, int, int] | None:
    """Return (real, effective, saved) uid; None when it is gone."""
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as file:
            text = file.read(4096)
        real, effective, saved, _ = text[text.index(b"\nUid:") + 5 :].split(b"\n", 1)[0].split()
    except (OSError, ValueError):
        return None
    return int(real), int(effective), int(saved)
