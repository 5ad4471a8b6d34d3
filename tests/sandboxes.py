"""Doing harm to sandboxes from outside, on either runtime."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from sandbank import Client

from tests.server_process import ServerProcess


def supervisor_pid(server: ServerProcess, sandbox_id: str) -> int:
    """Return the supervisor's process id on the host."""
    if server.runtime == "docker":
        command = ["docker", "inspect", "--format", "{{.State.Pid}}", container_name(sandbox_id)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            about = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"sandbank_runner.supervisor" in about and sandbox_id.encode() in about:
            return int(pid)
    raise LookupError(f"no supervisor of {sandbox_id}")


def container_name(sandbox_id: str) -> str:
    """Return the name of a sandbox's container."""
    command = [
        "docker",
        "ps",
        "-a",
        "--filter",
        f"label=sandbank.sandbox={sandbox_id}",
        "--format",
        "{{.Names}}",
    ]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert name, f"no container of {sandbox_id}"
    return name


def kill_sandbox(server: ServerProcess, sandbox_id: str) -> None:
    """End a sandbox from outside: `docker kill`, or its supervisor where there is no container."""
    if server.runtime == "docker":
        subprocess.run(["docker", "kill", container_name(sandbox_id)], check=True, capture_output=True)
    else:
        os.kill(supervisor_pid(server, sandbox_id), signal.SIGKILL)


def wait_ready(client: Client, template: str, count: int) -> None:
    """Wait until a pool has so many ready sandboxes."""
    for event in client.watch_pool(template):
        if event.pool.ready_count >= count:
            return
