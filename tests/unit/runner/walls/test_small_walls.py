"""Descriptors, limits, flags, users and capabilities: each rule in a child of the test's process."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest
from sandbank_runner.walls import (
    capabilities,
    descriptors,
    memory_order,
    process_flags,
    processor,
    rlimits,
    securebits,
)
from sandbank_runner.walls.users import Users, become, become_code, become_file_helper

from tests.unit.runner.walls.in_child import error_of, in_child

USERS = Users(supervisor=301001, template=301002, code=301003, sleeper=301004)
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="changing users needs root; tests/security does it in a container"
)


def open_descriptors() -> list[int]:
    """Return the caller's descriptors, without the one that reads the directory."""
    found = [int(name) for name in os.listdir("/proc/self/fd")]
    return sorted(number for number in found if os.path.exists(f"/proc/self/fd/{number}"))


@pytest.mark.parametrize("fast", [True, False])
def test_every_descriptor_but_the_named_ones_is_closed(fast: bool, monkeypatch):
    """With the kernel's call and without it."""
    if not fast:
        monkeypatch.setattr(descriptors, "number_of", lambda _: 100_000)

    def work() -> list[int]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
        for number in (5, 17, 250, 251, 900):
            os.dup2(2, number)
        answers = max(number for number in open_descriptors() if number not in (5, 17, 250, 251, 900))
        descriptors.close_all_but((0, 1, 2, 250, answers))
        return [number for number in open_descriptors() if number not in (0, 1, 2, answers)]

    assert in_child(work) == [250]


def test_limits_are_hard_and_never_raised():
    """A few above the soft one, in reserve for snapshots; one that is lower already stays."""

    def work() -> list:
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))
        rlimits.apply(processes=50, open_files=1024)
        return [
            resource.getrlimit(k)
            for k in (resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)
        ]

    assert in_child(work) == [[50, 54], [296, 300], [0, 0]]


def test_the_processor_is_shared_as_told():
    """Niced, and held to as many CPUs as the share rounds up to."""
    count = len(os.sched_getaffinity(0))
    assert processor.choose(count) is None
    assert processor.choose(count + 5.5) is None
    chosen = processor.choose(0.5)
    assert chosen is None if count == 1 else len(chosen or ()) == 1

    def work() -> list:
        before = os.nice(0)
        processor.hold(frozenset(list(os.sched_getaffinity(0))[:1]))
        return [os.nice(0) - before, len(os.sched_getaffinity(0))]

    assert in_child(work) == [min(processor.NICENESS, 19 - os.nice(0)), 1]


def test_a_score_is_raised_never_lowered():
    """What was there and is higher stays."""

    def work() -> list[int]:
        found = []
        for value in (memory_order.LIVE, memory_order.TEMPLATE, memory_order.HISTORY):
            memory_order.raise_score(value)
            with open("/proc/self/oom_score_adj") as file:
                found.append(int(file.read()))
        return found

    assert in_child(work) == [600, 600, 900]


def test_older_snapshots_die_first_and_the_template_last():
    """The order of the design."""
    assert memory_order.HISTORY > memory_order.LIVE > memory_order.RESTORE_POINT > memory_order.TEMPLATE > 0


def test_who_dies_with_its_parent_does():
    """And its own children do not inherit that."""

    def work() -> int:
        process_flags.adopt_orphans()
        read_end, write_end = os.pipe()
        middle = os.fork()
        if middle == 0:
            child = os.fork()
            if child == 0:
                process_flags.die_with_parent()
                os.write(write_end, b"x")
                signal.pause()
            os.read(read_end, 1)
            os.write(write_end, b"%d" % child)
            os._exit(0)
        os.waitpid(middle, 0)
        _, status = os.waitpid(int(os.read(read_end, 20)), 0)
        return os.WTERMSIG(status)

    assert in_child(work) == signal.SIGKILL


@needs_root
def test_user_code_has_no_capability_and_no_way_back():
    """Real and effective B, saved S, no group, nothing in any set; root is out of reach, S is not."""

    def work() -> dict:
        securebits.lock()
        capabilities.empty_bounding_set()
        capabilities.clear_ambient_set()
        become(USERS.template, keep=(capabilities.SETUID, capabilities.SETGID))
        as_template = capabilities.held()[:2]
        become_code(USERS)
        process_flags.set_dumpable(True)
        lines = Path("/proc/self/status").read_text().splitlines()
        status = dict(line.split(":	", 1) for line in lines if ":	" in line)
        return {
            "template": as_template,
            "uids": os.getresuid(),
            "gids": os.getresgid(),
            "groups": os.getgroups(),
            "sets": [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
            "root": error_of(lambda: os.setresuid(0, 0, 0)),
            "template_again": error_of(lambda: os.setresuid(-1, USERS.template, -1)),
            "group": error_of(lambda: os.setresgid(0, 0, 0)),
            "sleep": error_of(lambda: os.setresuid(USERS.sleeper, USERS.code, USERS.sleeper)),
            "wake": error_of(lambda: os.setresuid(USERS.code, USERS.code, USERS.sleeper)),
        }

    setid = 1 << capabilities.SETUID | 1 << capabilities.SETGID
    assert in_child(work) == {
        "template": [setid, setid],
        "uids": [301003, 301003, 301004],
        "gids": [301003, 301003, 301003],
        "groups": [],
        "sets": ["0000000000000000"] * 5,
        "root": 1,
        "template_again": 1,
        "group": 1,
        "sleep": 0,
        "wake": 0,
    }


@needs_root
@pytest.mark.parametrize("kind", ["sleeper", "file helper"])
def test_sleepers_and_file_helpers_cannot_be_signalled_by_user_code(kind: str):
    """Signals of B reach real and saved uid only; the supervisor's KILL capability reaches all."""

    def work() -> list[int]:
        read_end, write_end = os.pipe()
        target = os.fork()
        if target == 0:
            if kind == "sleeper":
                become_code(USERS)
                os.setresuid(USERS.sleeper, -1, -1)
            else:
                become_file_helper(USERS)
            os.write(write_end, b"x")
            signal.pause()
        os.read(read_end, 1)
        attacker = os.fork()
        if attacker == 0:
            become_code(USERS)
            os._exit(error_of(lambda: os.kill(target, signal.SIGKILL)))
        _, refused = os.waitpid(attacker, 0)
        become(USERS.supervisor, keep=(capabilities.KILL,))
        os.kill(target, signal.SIGKILL)
        _, killed = os.waitpid(target, 0)
        return [os.waitstatus_to_exitcode(refused), os.waitstatus_to_exitcode(killed)]

    assert in_child(work) == [1, -signal.SIGKILL]
