"""Killing user code's processes in a container: all at one blow, or all but some.

For the moment the template's effective user is B. Its real user is S, or its own where sleepers are to be spared, and
its saved user is its own: B, which may signal by real and saved uid only, cannot stop it half-way.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterator

from sandbank_runner.walls.processes import living, pids, uids
from sandbank_runner.walls.users import NOBODY, Users

_ROUNDS = 10
"""Looks before all are stopped first: a chain of forks is caught in a handful, or not at all."""

_PAUSE_SECONDS = 0.0002
"""For what was killed to die."""


def sweep_all(users: Users, *, spare_sleepers: bool) -> None:
    """Kill every process of user code. ``kill(-1)`` reaches all at once: no fork gets past it."""
    with _acting_as_code(users, real=users.template if spare_sleepers else users.sleeper):
        _signal(-1, signal.SIGKILL)


def sweep_others(users: Users, keep: Collection[tuple[int, int]]) -> None:
    """Kill every process of user code but ``keep``, each a pid and its start time, and what sleeps as S.

    Looks until there is none left. What forks faster than it is found is stopped for that, with all others.
    """
    kept = frozenset(keep)
    with _acting_as_code(users, real=users.sleeper):
        before: set[int] = set()
        for _ in range(_ROUNDS):
            found, dead = _others(users, kept)
            if not found and dead <= before:
                return
            before = dead
            for pid in found:
                _signal(pid, signal.SIGKILL)
            if found:
                time.sleep(_PAUSE_SECONDS)
    with _acting_as_code(users, real=users.template):
        _signal(-1, signal.SIGSTOP)  # nothing forks any more
    with _acting_as_code(users, real=users.sleeper):
        while found := _others(users, kept)[0]:
            for pid in found:
                _signal(pid, signal.SIGKILL)
            time.sleep(_PAUSE_SECONDS)
    with _acting_as_code(users, real=users.template):
        _signal(-1, signal.SIGCONT)


def _others(users: Users, kept: frozenset[tuple[int, int]]) -> tuple[set[int], set[int]]:
    """Return the processes with user code's or the sleepers' uid that are neither kept, nor sleepers, nor file helpers.

    First those that live, then those that were dead when it came to them, or gone: each may have forked before.
    """
    spared = ((users.sleeper, users.code, users.sleeper), (NOBODY, users.code, NOBODY))
    ours = {users.code, users.sleeper}
    found, dead = set(), set()
    for pid in pids():
        owners = uids(pid)
        if owners is None:
            dead.add(pid)
        elif owners not in spared and not ours.isdisjoint(owners):
            process = living(pid)
            if process is None:
                dead.add(pid)
            elif (pid, process.start_time) not in kept and pid != os.getpid():
                found.add(pid)
    return found, dead


@contextlib.contextmanager
def _acting_as_code(users: Users, *, real: int) -> Iterator[None]:
    os.setresuid(real, users.code, users.template)
    try:
        yield
    finally:
        os.setresuid(users.template, users.template, users.template)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
