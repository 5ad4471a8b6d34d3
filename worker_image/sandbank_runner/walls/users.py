"""The four users of a sandbox, and becoming one of them."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass

from sandbank_runner.walls import capabilities
from sandbank_runner.walls.system_calls import process_control

_PR_SET_KEEPCAPS = 8

NOBODY = 65534
"""Owns no process of a sandbox: a real uid that shares nothing with any of the four."""


@dataclass(frozen=True, slots=True)
class Users:
    """Uids, each also a gid; other ones in every sandbox, so that limits counted by uid are its own."""

    supervisor: int
    """A: PID 1, KILL only."""
    template: int
    """Z: SETUID and SETGID only."""
    code: int
    """B: user code and all that it starts, no capability."""
    sleeper: int
    """S: real and saved uid of sleeping snapshots; B cannot signal them."""


def become(uid: int, keep: Collection[int] = ()) -> None:
    """Become ``uid`` with gid ``uid`` and no other group for good, keeping only the capabilities ``keep``.

    Needs SETUID and SETGID. The process is non-dumpable from here on (the kernel's rule at a change of user).
    """
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    process_control(_PR_SET_KEEPCAPS, 1)
    os.setresuid(uid, uid, uid)
    capabilities.keep_only(keep)
    process_control(_PR_SET_KEEPCAPS, 0)


def become_code(users: Users) -> None:
    """Turn a child of the template into user code: (B, B, saved S), no capability.

    The saved uid is what lets an interpreter make its snapshots (S, B, S) and itself B again without capabilities.
    Signals of B reach a process by its real or saved uid only, so they do not reach (S, B, S).
    """
    _become_mixed(users, real=users.code, saved=users.sleeper)


def become_file_helper(users: Users) -> None:
    """Turn a child of the template into (nobody, B, nobody), no capability: it acts on files as user code does.

    Neither user code nor what turned itself into S can signal it, and as no caller is B and nobody at once, none may
    trace it.
    """
    _become_mixed(users, real=NOBODY, saved=NOBODY)


def _become_mixed(users: Users, *, real: int, saved: int) -> None:
    os.setgroups([])
    os.setresgid(users.code, users.code, users.code)
    os.setresuid(real, users.code, saved)
    capabilities.keep_only()
    if any(capabilities.held()):
        raise PermissionError("capabilities are left after giving them up")
