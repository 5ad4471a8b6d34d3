"""What a test run may have left on the machine.

What belongs to a run is known by the run's own temporary directory: containers mount something below it, processes have
it in their arguments, environment or working directory. So runs beside each other do not see each other's.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import docker

from tests.engine import engine_problem

LABEL = "sandbank.installation"


def leftovers(root: Path) -> list[str]:
    """Return the containers, processes and mounts that belong to the run under ``root``."""
    return sorted([*_containers(root), *_processes(root), *_mounts(root)])


def _containers(root: Path) -> list[str]:
    if engine_problem():
        return []
    client = docker.from_env()
    try:
        found = client.api.containers(all=True, filters={"label": LABEL})
        return [
            f"container {each['Names'][0]} ({each['Status']})"
            for each in found
            if any(str(mount.get("Source", "")).startswith(f"{root}/") for mount in each["Mounts"])
        ]
    finally:
        client.close()


def _processes(root: Path) -> list[str]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if not command:
                continue
            about = (
                command
                + Path(f"/proc/{pid}/environ").read_bytes()
                + os.fsencode(os.readlink(f"/proc/{pid}/cwd"))
            )
            if os.fsencode(f"{root}/") in about:
                words = command.replace(b"\0", b" ").decode(errors="replace")
                found.append(f"process {pid} {words}")
    return found


def _mounts(root: Path) -> list[str]:
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
        return [f"mount {line.split()[1]}" for line in file if line.split()[1].startswith(f"{root}/")]
