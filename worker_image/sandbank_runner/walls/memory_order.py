"""Who dies first when the sandbox's memory is used up: ``oom_score_adj``, higher first.

Anyone may raise the score of a process that it owns, and take it back to the lowest that a privileged process
gave. Landlock keeps user code from writing it at all; the template does it for the supervisor.
"""

from __future__ import annotations

CANDIDATE = 1000
"""An interpreter that is to replace the live one. The kernel adds the score, in thousandths of all memory, to what a
process has: to go before a live one that has nearly all of it, it needs nearly that distance."""
HISTORY = 900
"""Older snapshots, and file helpers: their loss costs least."""
LIVE = 600
"""The live interpreter and what it starts."""
LIVE_BESIDE_CANDIDATE = 50
"""The live interpreter while there is a candidate."""
RESTORE_POINT = 300
"""The newest snapshot and the base of a transaction."""
TEMPLATE = 100
"""The template. The supervisor keeps what the container has, 0."""


def set_score(value: int, pid: int | None = None) -> None:
    """Write the score of ``pid``, by default of the caller.

    Raises PermissionError without the right (another user's or a non-dumpable process), ProcessLookupError or
    FileNotFoundError when it is gone, OSError EINVAL outside -1000 to 1000.
    """
    with open(f"/proc/{'self' if pid is None else pid}/oom_score_adj", "wb", buffering=0) as file:
        file.write(str(value).encode())


def raise_score(value: int) -> None:
    """Make the caller's score at least ``value``; one that is higher already stays."""
    with open("/proc/self/oom_score_adj", "rb", buffering=0) as file:
        if int(file.read(16)) >= value:
            return
    set_score(value)
