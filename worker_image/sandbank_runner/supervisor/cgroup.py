"""The sandbox's control group: memory in use, and how often the kernel killed for want of it. Version 1 and 2."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

_UNLIMITED_FROM = 1 << 60
"""Version 1 writes "no limit" as a number near 2**63."""


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """One group. Files that are missing or unreadable give None, never an error: figures are a help, no more."""

    version: Literal[1, 2]
    memory: str
    """Directory of the memory controller's files."""
    processes: str
    """Directory of the pids controller's files."""

    def out_of_memory_kills(self) -> int | None:
        """Return how many processes the kernel has killed here for want of memory: read it before and after."""
        return _field(
            f"{self.memory}/{'memory.oom_control' if self.version == 1 else 'memory.events'}", "oom_kill"
        )

    def memory_bytes(self) -> int | None:
        """Return the memory in use that could not be taken back at once: without inactive file cache."""
        if self.version == 1:
            used = _number(f"{self.memory}/memory.usage_in_bytes")
            cache = _field(f"{self.memory}/memory.stat", "total_inactive_file")
        else:
            used = _number(f"{self.memory}/memory.current")
            cache = _field(f"{self.memory}/memory.stat", "inactive_file")
        return None if used is None else max(0, used - (cache or 0))

    def memory_limit_bytes(self) -> int | None:
        """Return the limit, None where there is none."""
        name = "memory.limit_in_bytes" if self.version == 1 else "memory.max"
        limit = _number(f"{self.memory}/{name}")
        return None if limit is None or limit >= _UNLIMITED_FROM else limit

    def process_count(self) -> int | None:
        """Return how many processes and threads there are, the supervisor's own among them."""
        return _number(f"{self.processes}/pids.current")


def find(root: str = "/sys/fs/cgroup", own: str = "/proc/self/cgroup") -> ControlGroup | None:
    """Return the group of this process, or None where its files cannot be seen.

    A container sees its own group either at the root of the mount or, where it shares the host's view, below
    the path that ``own`` gives. On a hybrid system the memory controller is where version 1 says.
    """
    paths = _paths(own)
    if "memory" in paths:
        memory = _directory(f"{root}/memory", paths["memory"], "memory.usage_in_bytes")
        if memory is not None:
            processes = _directory(f"{root}/pids", paths.get("pids", "/"), "pids.current")
            return ControlGroup(1, memory, processes or f"{root}/pids")
    unified = _directory(root, paths.get("", "/"), "memory.current")
    return None if unified is None else ControlGroup(2, unified, unified)


def _paths(own: str) -> dict[str, str]:
    """Return controller -> path; the empty name is version 2's."""
    try:
        with open(own, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if separator:
            found.update(dict.fromkeys(controllers.split(","), path))
    return found


def _directory(base: str, path: str, wanted: str) -> str | None:
    for candidate in (os.path.normpath(f"{base}/{path}"), base):
        if os.path.exists(f"{candidate}/{wanted}"):
            return candidate
    return None


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def _number(path: str) -> int | None:
    text = (_read(path) or "").strip()
    return int(text) if text.isdecimal() else None


def _field(path: str, name: str) -> int | None:
    for line in (_read(path) or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdecimal():
            return int(value)
    return None
