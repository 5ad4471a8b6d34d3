"""What a test run may have left on the machine."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

import docker

from tests.engine import engine_problem

LABEL = "sandbank.installation"


@dataclass(frozen=True)
class Leftovers:
    """Names of containers, processes and mounts that Sandbank makes."""

    names: frozenset[str]

    @classmethod
    def now(cls) -> Leftovers:
        """Look at the machine."""
        return cls(frozenset({*_containers(), *_processes(), *_mounts()}))

    def beyond(self, before: Leftovers) -> list[str]:
        """Return what is there now and was not before."""
        return sorted(self.names - before.names)


def _containers() -> list[str]:
    if engine_problem():
        return []
    client = docker.from_env()
    try:
        found = client.api.containers(all=True, filters={"label": LABEL})
        return [f"container {each['Names'][0]} ({each['Status']})" for each in found]
    finally:
        client.close()


def _processes() -> list[str]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read().replace(b"\0", b" ").decode(errors="replace")
            if "sandbank_runner" in command or "sandbank serve" in command:
                found.append(f"process {pid} {command}")
    return found


def _mounts() -> list[str]:
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
        return [f"mount {line.split()[1]}" for line in file if "sandbank" in line.split()[1]]
