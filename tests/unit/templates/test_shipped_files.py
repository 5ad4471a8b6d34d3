"""The lock files in the repository: complete, consistent, and naming no registry."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
LOCKS = ROOT / "server/sandbank_server/templates/locks"
FILES = sorted([*ROOT.glob("requirements/*.txt"), *LOCKS.glob("*.txt")])
OWN = {"sandbank", "sandbank-server", "sandbank-runner"}


def locked(path: Path) -> dict[str, set[str]]:
    """Return the packages of a lock and their versions."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", path.read_text(), re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def dependencies(distribution: str) -> set[str]:
    """Return the packages that a distribution asks for, without our own."""
    project = tomllib.loads((ROOT / distribution / "pyproject.toml").read_text())["project"]
    return {canonicalize_name(Requirement(line).name) for line in project["dependencies"]} - OWN


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_lock_names_no_address(path):
    """Which registry serves the packages is each machine's business."""
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", path.read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_locked_package_has_hashes(path):
    """A lock without hashes would let a registry choose what runs here."""
    entries = re.split(r"^(?=[A-Za-z0-9])", path.read_text(), flags=re.MULTILINE)[1:]
    assert entries
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("distribution", ["server", "clients/python", "worker_image"])
def test_what_a_distribution_needs_is_locked(distribution):
    """Editable installs are made without dependencies, so the locks must have them all."""
    assert dependencies(distribution) <= locked(ROOT / "requirements/dev.txt").keys()


@pytest.mark.parametrize("distribution", ["server", "clients/python"])
def test_the_runtime_lock_is_enough_to_serve(distribution):
    """The control plane's own container installs only that one."""
    assert dependencies(distribution) <= locked(ROOT / "requirements/runtime.txt").keys()


def test_what_the_runner_needs_is_in_every_image():
    """A sandbox has no network to fetch it from."""
    assert dependencies("worker_image") <= locked(LOCKS / "runner.txt").keys()


@pytest.mark.parametrize("name", ["protobuf", "pip", "uv"])
def test_a_package_of_several_locks_has_one_version(name):
    """Both ends of a sandbox's socket speak with the same library; tools do not change under one's feet."""
    versions = {path.name: found[name] for path in FILES if name in (found := locked(path))}
    assert len(set().union(*versions.values())) == 1, versions
