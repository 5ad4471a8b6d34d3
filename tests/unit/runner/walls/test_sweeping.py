"""Sweeps in a container, by the template: with users of their own, in children of the test's process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest
from sandbank_runner.supervisor.sweep import kill_others
from sandbank_runner.template import sweeping
from sandbank_runner.walls import capabilities, process_flags
from sandbank_runner.walls.processes import living, uids
from sandbank_runner.walls.users import Users, become, become_code, become_file_helper

from tests.unit.runner.walls.in_child import in_child
from tests.unit.runner.walls.test_sweep import pausing

USERS = Users(supervisor=302001, template=302002, code=302003, sleeper=302004)
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="changing users needs root; tests/security does it in a container"
)


def started(prepare: Callable[[], None]) -> int:
    """Fork a process that prepares itself and then waits for ever; return its pid once it is ready."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        prepare()
        os.write(write_end, b"x")
        while True:
            signal.pause()
    os.read(read_end, 1)
    return pid


def code() -> None:
    """Be user code."""
    become_code(USERS)


def sleeper() -> None:
    """Be a snapshot that sleeps."""
    become_code(USERS)
    os.setresuid(USERS.sleeper, -1, -1)


def disguised() -> None:
    """Be user code that has made itself the sleepers' user."""
    become_code(USERS)
    os.setresuid(USERS.sleeper, USERS.sleeper, USERS.sleeper)


def file_helper() -> None:
    """Be a helper for files."""
    become_file_helper(USERS)


def become_template() -> None:
    """Be the template."""
    become(USERS.template, keep=(capabilities.SETUID, capabilities.SETGID))


def dies(pid: int) -> bool:
    """Tell whether a process that may have been killed is dead, before long where it was."""
    deadline = time.monotonic() + 0.3
    while living(pid) is not None and time.monotonic() < deadline:
        os.sched_yield()
    return living(pid) is None


def end(*pids: int) -> None:
    """Kill and reap what is left."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@needs_root
def test_all_but_the_kept_and_the_sleeping_die():
    """Also what has made itself the sleepers' user; helpers, and what is older, live on."""

    def work() -> dict[str, bool]:
        kinds = {
            "code": code,
            "kept": code,
            "sleeper": sleeper,
            "disguised": disguised,
            "helper": file_helper,
        }
        found = {name: started(prepare) for name, prepare in kinds.items()}
        process = living(found["kept"])
        assert process is not None
        start = process.start_time
        become_template()
        sweeping.sweep_others(USERS, [(found["kept"], start), (found["code"], 1)])
        assert os.getresuid() == (USERS.template,) * 3
        died = {name: dies(pid) for name, pid in found.items()}
        os.setresuid(-1, USERS.code, USERS.template)
        os.kill(found["kept"], signal.SIGKILL)
        return died

    assert in_child(work) == {
        "code": True, "kept": False, "sleeper": False, "disguised": True, "helper": False,
    }  # fmt: skip


@needs_root
def test_a_chain_of_forks_is_swept():
    """Each forks the next and dies; the kept one is as it was, not stopped."""

    def work() -> list:
        process_flags.adopt_orphans()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        kept = started(code)
        process = living(kept)
        assert process is not None
        read_end, write_end = os.pipe()
        if os.fork() == 0:
            code()
            os.write(write_end, b"x")
            last = time.monotonic() + 60  # a failing test must not leave it on the machine for ever
            while time.monotonic() < last:
                if os.fork():
                    os._exit(0)
        os.read(read_end, 1)
        become_template()
        sweeping.sweep_others(USERS, [(kept, process.start_time)])
        left = [
            pid
            for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
            if USERS.code in (uids(pid) or ())
        ]
        left = [pid for pid in left if living(pid) is not None]
        with open(f"/proc/{kept}/stat") as file:
            state = file.read().rsplit(")", 1)[1].split()[0]
        os.setresuid(-1, USERS.code, USERS.template)
        os.kill(kept, signal.SIGKILL)
        return [left, kept, state]

    left, kept, state = in_child(work)
    assert (left, state) == ([kept], "S")


@needs_root
def test_what_forks_faster_than_it_is_found_is_stopped_for_it(monkeypatch: pytest.MonkeyPatch):
    """After the last look all are stopped, so none escapes; what is kept goes on."""
    monkeypatch.setattr(sweeping, "_ROUNDS", 0)

    def work() -> list:
        kept, lost = started(code), started(code)
        process = living(kept)
        assert process is not None
        become_template()
        sweeping.sweep_others(USERS, [(kept, process.start_time)])
        died = dies(lost)
        with open(f"/proc/{kept}/stat") as file:
            state = file.read().rsplit(")", 1)[1].split()[0]
        os.setresuid(-1, USERS.code, USERS.template)
        os.kill(kept, signal.SIGKILL)
        return [died, state in "SR"]

    assert in_child(work) == [True, True]


@needs_root
@pytest.mark.parametrize("spare", [True, False])
def test_a_sweep_of_all_spares_helpers_and_where_asked_sleepers(spare: bool):
    """At one blow."""

    def work() -> dict[str, bool]:
        kinds = {"code": code, "sleeper": sleeper, "helper": file_helper}
        found = {name: started(prepare) for name, prepare in kinds.items()}
        become_template()
        sweeping.sweep_all(USERS, spare_sleepers=spare)
        return {name: dies(pid) for name, pid in found.items()}

    assert in_child(work) == {"code": True, "sleeper": not spare, "helper": False}


def test_in_local_mode_the_supervisor_kills_all_others():
    """Its own children by pid, what is older by pid and start time."""

    def work() -> list[bool]:
        process_flags.adopt_orphans()
        spared, kept, lost, reused = pausing(), pausing(), pausing(), pausing()
        process = living(kept)
        assert process is not None
        assert kill_others([spared], [(kept, process.start_time), (reused, process.start_time - 1)]) == 0
        died = [dies(pid) for pid in (spared, kept, lost, reused)]
        end(spared, kept)
        return died

    assert in_child(work) == [False, False, True, True]
