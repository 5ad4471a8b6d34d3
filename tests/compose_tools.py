"""Both generations of the compose tool, had from Debian's packages where they are not installed."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

from sandbank_server.templates.options import default_cache_directory

ROOT = Path(__file__).parents[1]


class NoTool(Exception):
    """The tool is neither here nor to be had; the text says why."""


@functools.cache
def compose_tool(generation: int) -> str:
    """Return the command of docker-compose 1.29 (1) or Compose v2 (2). Raises :class:`NoTool`."""
    for command in ("docker-compose", "docker compose"):
        if _generation(command) == generation:
            return command
    return _install_first() if generation == 1 else _extract_second()


def _generation(command: str) -> int | None:
    try:
        said = subprocess.run(
            [*command.split(), "version", "--short"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    match = re.match(r"v?(\d+)\.", said.stdout)
    return int(match[1]) if match else None


def _install_first() -> str:
    """Debian 12 and Ubuntu 24.04 still have it; it needs its system's own Python."""
    candidate = subprocess.run(
        ["apt-cache", "policy", "docker-compose"], capture_output=True, text=True, check=False
    )
    if not re.search(r"Candidate: 1\.", candidate.stdout):
        raise NoTool("this distribution has no docker-compose 1.29")
    if os.geteuid() != 0:
        raise NoTool("docker-compose 1.29 is not installed: apt-get install docker-compose")
    command = [ROOT / "scripts" / "apt-install", "docker-compose is wanted for its test", "docker-compose"]
    subprocess.run(command, check=True, capture_output=True)
    return "docker-compose"


def _extract_second() -> str:
    """One static program of Debian 13's package; nothing is installed."""
    root = default_cache_directory(os.environ) / "compose-v2"
    binary = root / "usr" / "libexec" / "docker" / "cli-plugins" / "docker-compose"
    if not binary.exists():
        if shutil.which("mmdebstrap") is None:
            raise NoTool("Compose v2 is not installed, nor mmdebstrap to get it")
        fresh = root.with_name(f"{root.name}.new-{os.getpid()}")
        command = [
            "mmdebstrap",
            "--quiet",
            "--variant=extract",
            "--include=docker-compose",
            "trixie",
            str(fresh),
        ]
        subprocess.run(command, check=True, capture_output=True)
        shutil.rmtree(root, ignore_errors=True)
        fresh.rename(root)
    if _generation(str(binary)) != 2:
        raise NoTool(f"{binary} does not run")
    return str(binary)
