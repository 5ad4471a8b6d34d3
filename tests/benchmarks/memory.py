"""What sandboxes take of the machine's memory."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.sandboxes import container_name


def sandbox_pss_bytes(sandbox_id: str) -> int:
    """Return the proportional set size of all processes of a container: shared pages are divided among their users."""
    pid = subprocess.run(
        ["docker", "inspect", "--format", "{{.State.Pid}}", container_name(sandbox_id)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    return sum(pss_bytes(each) for each in _tree(int(pid)))


def pss_bytes(pid: int) -> int:
    """Return the proportional set size of one process, 0 when it is gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            parent = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(pid))
    found, pending = [], [root]
    while pending:
        found.append(pending.pop())
        pending += children.get(found[-1], [])
    return found
