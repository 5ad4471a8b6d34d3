"""The seccomp profile as a text: what the engine will be given."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sandbank_server.runtimes.base import RuntimeUnavailable
from sandbank_server.runtimes.docker.seccomp import read_profile, shipped_profile

ROOT = Path(__file__).parents[4]
PROFILE: dict[str, Any] = json.loads(read_profile(None))
ENOSYS = 38


def names(action: str, error: int | None = None) -> set[str]:
    """Return the calls of the unconditional rules with an action."""
    return {
        name
        for rule in PROFILE["syscalls"]
        if rule["action"] == action and rule.get("errnoRet") == error and not rule["args"]
        for name in rule["names"]
    }


ALLOWED = names("SCMP_ACT_ALLOW")


def test_committed_profile_is_what_the_script_writes() -> None:
    """Whoever changes one changes the other."""
    subprocess.run([sys.executable, ROOT / "scripts" / "seccomp", "--check"], check=True)


def test_shipped_profile_is_found_in_a_checkout() -> None:
    """Beside the runner's package."""
    assert shipped_profile() == ROOT / "worker_image" / "seccomp.json"


def test_everything_else_is_refused() -> None:
    """The default is an error, and only two architectures are there, without their 32-bit calls."""
    assert PROFILE["defaultAction"] == "SCMP_ACT_ERRNO"
    assert PROFILE["archMap"] == [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
    ]
    # Fields that engines of the 20.10 line do not know would be dropped silently.
    assert PROFILE.keys() == {"defaultAction", "archMap", "syscalls"}
    assert {key for rule in PROFILE["syscalls"] for key in rule} == {"names", "action", "args", "errnoRet"}


@pytest.mark.parametrize(
    "name",
    [
        "clone3",
        "execveat",
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "userfaultfd",
        "memfd_secret",
        "pkey_alloc",
        "pkey_mprotect",
        "io_setup",
        "io_submit",
        "splice",
        "tee",
        "vmsplice",
        "process_madvise",
        "msgget",
        "semget",
        "shmget",
        "shmat",
        "mq_open",
        "fanotify_init",
        "name_to_handle_at",
        "open_by_handle_at",
        "mbind",
        "set_mempolicy",
        "move_pages",
        "migrate_pages",
    ],
)
def test_dispensable_calls_look_like_an_old_kernel(name: str) -> None:
    """Libraries fall back when a call is not there; they fail when it is forbidden."""
    assert name in names("SCMP_ACT_ERRNO", ENOSYS)
    assert name not in ALLOWED


@pytest.mark.parametrize(
    "name",
    [
        "ptrace",
        "process_vm_readv",
        "process_vm_writev",
        "pidfd_getfd",
        "kcmp",
        "keyctl",
        "add_key",
        "request_key",
        "perf_event_open",
        "bpf",
        "mount",
        "umount2",
        "pivot_root",
        "move_mount",
        "open_tree",
        "fsopen",
        "fsmount",
        "mount_setattr",
        "chroot",
        "unshare",
        "setns",
        "modify_ldt",
        "sched_setscheduler",
        "sched_setparam",
        "sched_setattr",
        "ioprio_set",
        "reboot",
        "init_module",
        "finit_module",
        "kexec_load",
        "swapon",
        "quotactl",
        "acct",
        "settimeofday",
        "clock_settime",
        "sethostname",
        "iopl",
        "ioperm",
        "syslog",
        "nfsservctl",
    ],
)
def test_attacks_are_forbidden(name: str) -> None:
    """Not named at all, hence EPERM."""
    assert not [rule for rule in PROFILE["syscalls"] if name in rule["names"]]


@pytest.mark.parametrize("name", ["clone", "socket", "socketpair", "personality", "sync", "syncfs"])
def test_calls_with_conditions_are_not_allowed_outright(name: str) -> None:
    """Their rules look at arguments, or succeed without doing anything."""
    assert name not in ALLOWED


def test_walls_can_still_be_put_up() -> None:
    """Supervisor, template and snapshots change users, drop capabilities and restrict themselves under it."""
    assert {
        "setresuid",
        "setresgid",
        "setgroups",
        "capset",
        "prctl",
        "seccomp",
        "landlock_restrict_self",
    } <= ALLOWED


@pytest.mark.parametrize("text", ["", "[]", "{}", "{"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    """A configured profile that is none is the operator's to mend, before any sandbox starts without a filter."""
    path = tmp_path / "profile.json"
    path.write_text(text)
    with pytest.raises(RuntimeUnavailable, match=r"profile\.json"):
        read_profile(path)
    with pytest.raises(RuntimeUnavailable, match="missing"):
        read_profile(tmp_path / "missing")
