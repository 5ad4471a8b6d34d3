"""Engines that cannot hold sandboxes are refused at start, with what to do."""

from __future__ import annotations

from typing import Any

import pytest
from sandbank_server.runtimes.base import RuntimeUnavailable
from sandbank_server.runtimes.docker.checks import check_engine

GOOD: dict[str, Any] = {
    "OSType": "linux",
    "Runtimes": {"runc": {"path": "runc"}, "runsc": {"path": "/usr/bin/runsc"}},
    "SecurityOptions": ["name=apparmor", "name=seccomp,profile=default"],
    "MemoryLimit": True,
    "SwapLimit": True,
    "CpuCfsQuota": True,
    "PidsLimit": True,
}


@pytest.mark.parametrize("oci_runtime", [None, "runc", "runsc"])
def test_capable_engine_passes(oci_runtime: str | None) -> None:
    """No warning, with the default runtime and with one that is installed."""
    assert check_engine(GOOD, oci_runtime) == []


def test_missing_oci_runtime_is_named() -> None:
    """A runtime that the engine does not know fails at start, with those that it does."""
    with pytest.raises(RuntimeUnavailable, match=r"'kata'.*runc, runsc"):
        check_engine(GOOD, "kata")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"OSType": "windows"}, "Linux"),
        ({"SecurityOptions": []}, "seccomp"),
        ({"SecurityOptions": None}, "seccomp"),
        ({"SecurityOptions": ["name=seccomp,profile=default", "name=userns"]}, "userns-remap"),
        ({"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]}, "without root"),
        ({"MemoryLimit": False}, "memory"),
        ({"PidsLimit": False}, "processes"),
        ({"CpuCfsQuota": False}, "CPU"),
    ],
)
def test_missing_walls_are_refused(change: dict[str, Any], message: str) -> None:
    """Without a filter, users of its own or a limit there is no sandbox."""
    with pytest.raises(RuntimeUnavailable, match=message):
        check_engine(GOOD | change, None)


def test_unlimited_swap_is_a_warning() -> None:
    """Hosts without swap accounting are common; the operator is told."""
    assert check_engine(GOOD | {"SwapLimit": False}, None) == [
        "the engine cannot limit swap: a sandbox may use swap beyond its memory limit"
    ]
