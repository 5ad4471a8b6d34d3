"""Whether an engine can hold sandboxes: asked at start, so that no session is the one to find out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbank_server.runtimes.base import RuntimeUnavailable

_LIMITS = {
    "MemoryLimit": "memory",
    "CpuCfsQuota": "CPU time",
    "PidsLimit": "processes",
}


def check_engine(info: Mapping[str, Any], oci_runtime: str | None) -> list[str]:
    """Return warnings about what the engine says of itself, ``info``. Raises :class:`RuntimeUnavailable`."""
    if info.get("OSType") != "linux":
        raise RuntimeUnavailable(f"sandboxes need Linux, the engine runs {info.get('OSType')!r:.40}")
    runtimes = info.get("Runtimes") or {}
    if oci_runtime is not None and oci_runtime not in runtimes:
        raise RuntimeUnavailable(
            f"the engine has no OCI runtime {oci_runtime!r:.60}, it has {', '.join(sorted(runtimes))}: "
            "install it and add it to the engine's configuration, or choose another"
        )
    options = [str(option) for option in info.get("SecurityOptions") or ()]
    if not any(option.startswith("name=seccomp") for option in options):
        raise RuntimeUnavailable(
            "the engine or its kernel has no seccomp: sandboxes would have no system call filter"
        )
    for option, what in (("name=userns", "maps users"), ("name=rootless", "runs without root")):
        if any(option in given for given in options):
            raise RuntimeUnavailable(
                f"the engine {what}: sandboxes need users of their own on the host, "
                "so an engine with root and without userns-remap"
            )
    missing = [what for key, what in _LIMITS.items() if not info.get(key)]
    if missing:
        raise RuntimeUnavailable(
            f"the engine cannot limit {', '.join(missing)}: the kernel's control groups lack it"
        )
    warnings = []
    if not info.get("SwapLimit"):
        warnings.append("the engine cannot limit swap: a sandbox may use swap beyond its memory limit")
    return warnings
