"""What a tree of processes uses, from /proc."""

from __future__ import annotations

import os
from contextlib import suppress

from sandbank_server.runtimes.base import SandboxStats
from sandbank_server.runtimes.local.processes import Process, descendants

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def usage_of_tree(root: Process) -> SandboxStats:
    """Return the memory that the processes have, shared pages divided among their sharers, and their number."""
    processes = [root, *descendants(root.pid)]
    return SandboxStats(sum(_memory(process.pid) for process in processes), len(processes))


def _memory(pid: int) -> int:
    # Not for those that a user may not look into: the supervisor when this is not root.
    with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        for line in file:
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/statm", "rb") as file:
        resident, shared = file.read().split()[1:3]
        return (int(resident) - int(shared)) * _PAGE_BYTES
    return 0
