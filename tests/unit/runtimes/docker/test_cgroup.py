"""Reading what a container uses, from trees as both versions of control groups and both drivers make them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sandbank_server.runtimes.base import SandboxStats
from sandbank_server.runtimes.docker.cgroup import read_usage

CONTAINER = "c0ffee" * 10
GROUPS = [f"docker/{CONTAINER}", f"system.slice/docker-{CONTAINER}.scope"]


def write(path: Path, text: str) -> None:
    """Write a file with its directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("group", GROUPS)
def test_version_1(tmp_path: Path, group: str) -> None:
    """One tree per controller; page cache that can be dropped does not count."""
    write(tmp_path / "memory" / group / "memory.usage_in_bytes", "50000000\n")
    write(
        tmp_path / "memory" / group / "memory.stat", "cache 9\ntotal_cache 9\ntotal_inactive_file 8000000\n"
    )
    write(tmp_path / "pids" / group / "pids.current", "7\n")
    assert read_usage(CONTAINER, tmp_path) == SandboxStats(42_000_000, 7)


@pytest.mark.parametrize("group", GROUPS)
def test_version_2(tmp_path: Path, group: str) -> None:
    """One tree for all."""
    write(tmp_path / group / "memory.current", "50000000\n")
    write(tmp_path / group / "memory.stat", "anon 1\nfile 9000000\ninactive_file 8000000\n")
    write(tmp_path / group / "pids.current", "7\n")
    assert read_usage(CONTAINER, tmp_path) == SandboxStats(42_000_000, 7)


def test_unseen_groups_give_nothing(tmp_path: Path) -> None:
    """A control plane in a container does not see the host's groups: then the engine is asked."""
    assert read_usage(CONTAINER, tmp_path) is None
    write(tmp_path / GROUPS[0] / "memory.current", "max\n")
    assert read_usage(CONTAINER, tmp_path) is None


def test_missing_details_are_zero(tmp_path: Path) -> None:
    """A tree without statistics or without the pids controller still tells memory; more cache than memory is 0."""
    write(tmp_path / GROUPS[0] / "memory.current", "50000000\n")
    assert read_usage(CONTAINER, tmp_path) == SandboxStats(50_000_000, 0)
    write(tmp_path / GROUPS[0] / "memory.stat", "inactive_file 60000000\nbroken\n")
    assert read_usage(CONTAINER, tmp_path) == SandboxStats(0, 0)
