"""The walls of user code, made ready once in the template: a fork only enters them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from sandbank_runner.supervisor.config import SandboxConfig
from sandbank_runner.walls import landlock, processor, seccomp_filter
from sandbank_runner.walls.system_calls import MACHINE

_SHARED_MEMORY = "/dev/shm"
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/ptmx", "/dev/pts")
_HIDDEN = ("run", "lost+found")
"""Not readable below the root of a container; the supervisor's directory is in the first."""

_SYSTEM = (
    "/bin", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/nix/store", "/opt", "/proc", "/run/systemd/resolve",
    "/sbin", "/sys", "/usr",
)  # fmt: skip
"""What a program needs of somebody's own machine."""


@dataclass(frozen=True, slots=True)
class WallPlan:
    """What each fork enters. Descriptors of rulesets stay open in the template."""

    code_ruleset: landlock.Ruleset | None
    files_ruleset: landlock.Ruleset | None
    filter_program: bytes | None
    cpus: frozenset[int] | None
    missing: tuple[str, ...]
    """Names of the walls that cannot be had here."""


def make_plan(config: SandboxConfig, missing: Iterable[str] = ()) -> WallPlan:
    """Find out which walls this kernel has and make them ready; add to ``missing`` what it lacks.

    OSError where one exists and cannot be made.
    """
    abi = landlock.version()
    missing = [*missing, *landlock.missing_parts(abi)]
    code_ruleset = files_ruleset = None
    if abi:
        code_ruleset = landlock.make_ruleset(
            abi,
            writable=(config.workspace, config.temporary, _SHARED_MEMORY),
            readable=_readable(config),
            devices=_DEVICES,
        )
    if abi >= 2:  # before, a finished upload could not be moved from the top of the workspace to its place
        files_ruleset = landlock.make_ruleset(abi, writable=(config.workspace,), readable=("/proc",))
    program = None
    if seccomp_filter.available():
        # In local mode user code's user owns processes of somebody else: his editor, his shell.
        program = seccomp_filter.program(MACHINE, spare_strangers=config.mode == "local" and abi < 6)
    else:
        missing.append("seccomp-filter")
    if config.mode == "local":
        missing += ["users", "process-limit"]
    return WallPlan(code_ruleset, files_ruleset, program, processor.choose(config.cpu_count), tuple(missing))


def _readable(config: SandboxConfig) -> list[str]:
    """Return what user code may read: of a container all but ``/run``, of a machine what Python needs."""
    if config.mode == "container":
        return [f"/{name}" for name in sorted(os.listdir("/")) if name not in _HIDDEN]
    python = [
        sys.prefix,
        sys.base_prefix,
        sys.exec_prefix,
        *(os.path.abspath(path) for path in sys.path if path),
    ]
    return sorted({*_SYSTEM, *(os.path.realpath(path) for path in python), *python} - {"/"})
