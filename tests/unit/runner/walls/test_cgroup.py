"""Memory figures of both generations of control groups, on trees like the kernel's."""

from __future__ import annotations

from pathlib import Path

import pytest
from sandbank_runner.supervisor.cgroup import find


def tree(root: Path, files: dict[str, str]) -> None:
    """Write files below ``root``."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


V2 = {
    "memory.current": "1000\n",
    "memory.max": "5000\n",
    "memory.stat": "anon 700\nfile 300\ninactive_file 250\n",
    "memory.events": "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n",
    "pids.current": "12\n",
}
V1 = {
    "memory/memory.usage_in_bytes": "2000\n",
    "memory/memory.limit_in_bytes": "9223372036854771712\n",
    "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 500\n",
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
    "pids/pids.current": "9\n",
}
OWN_V1 = "8:pids:{0}\n4:memory,hugetlb:{0}\n3:cpu,cpuacct:{0}\n0::{0}\n"


@pytest.mark.parametrize("below", ["", "system.slice/docker-abc.scope"])
def test_version_2(tmp_path: Path, below: str):
    """At the root of the mount, as in a namespace of its own, or below the path that the kernel tells."""
    root = tmp_path / "cgroup"
    tree(root / below, V2)
    (tmp_path / "own").write_text(f"0::/{below}\n")
    group = find(str(root), str(tmp_path / "own"))
    assert group is not None
    assert group.version == 2
    assert group.out_of_memory_kills() == 2
    assert group.memory_bytes() == 750
    assert group.memory_limit_bytes() == 5000
    assert group.process_count() == 12


@pytest.mark.parametrize("path", ["/docker/abc", "/"])
def test_version_1(tmp_path: Path, path: str):
    """A container sees its own group at the mount, whatever path the host gives it."""
    root = tmp_path / "cgroup"
    tree(root, V1)
    (tmp_path / "own").write_text(OWN_V1.format(path))
    group = find(str(root), str(tmp_path / "own"))
    assert group is not None
    assert group.version == 1
    assert group.out_of_memory_kills() == 4
    assert group.memory_bytes() == 1500
    assert group.memory_limit_bytes() is None
    assert group.process_count() == 9


def test_an_unlimited_group_has_no_limit(tmp_path: Path):
    """Version 2 says "max"."""
    tree(tmp_path, {**V2, "memory.max": "max\n"})
    (tmp_path / "own").write_text("0::/\n")
    group = find(str(tmp_path), str(tmp_path / "own"))
    assert group is not None
    assert group.memory_limit_bytes() is None


def test_what_cannot_be_seen_is_none_and_no_error(tmp_path: Path):
    """No tree at all, and files that are missing or not as expected."""
    assert find(str(tmp_path), str(tmp_path / "missing")) is None
    tree(tmp_path, {"memory.current": "none of your business\n", "memory.events": "oom_kill many\n"})
    (tmp_path / "own").write_text("garbage\n0::/\n")
    group = find(str(tmp_path), str(tmp_path / "own"))
    assert group is not None
    assert (group.memory_bytes(), group.out_of_memory_kills(), group.process_count()) == (None, None, None)
