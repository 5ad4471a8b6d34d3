"""What a container uses, from the host's control groups: the engine takes up to two seconds to say it."""

from __future__ import annotations

from pathlib import Path

from sandbank_server.runtimes.base import SandboxStats

ROOT = Path("/sys/fs/cgroup")


def read_usage(container_id: str, root: Path = ROOT) -> SandboxStats | None:
    """Return what the container uses now, or None where its control groups cannot be seen from here.

    Knows version 1 (a tree per controller) and version 2 (one tree), each as the engine names its groups with
    the cgroupfs and with the systemd driver. Page cache that can be dropped at once does not count as used.
    """
    for group in (f"docker/{container_id}", f"system.slice/docker-{container_id}.scope"):
        unified = root / group
        memory = _used(unified / "memory.current", unified / "memory.stat", "inactive_file")
        if memory is not None:
            return SandboxStats(memory, _number(unified / "pids.current") or 0)
        version_1 = root / "memory" / group
        memory = _used(version_1 / "memory.usage_in_bytes", version_1 / "memory.stat", "total_inactive_file")
        if memory is not None:
            return SandboxStats(memory, _number(root / "pids" / group / "pids.current") or 0)
    return None


def _used(current: Path, statistics: Path, droppable: str) -> int | None:
    total = _number(current)
    if total is None:
        return None
    try:
        lines = statistics.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(" ")
        if name == droppable and value.isdecimal():
            return max(0, total - int(value))
    return total


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
