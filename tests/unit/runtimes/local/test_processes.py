"""Processes: told apart, found, and ended with all of theirs."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sandbank_server.runtimes.local.processes import (
    Process,
    descendants,
    end_marked,
    end_tree,
    find_by_argument,
    find_by_variable,
)

SECONDS = 20.0

# A subreaper with a child, a grandchild that left its session and lost its parent, and something that forks.
TREE = """
import ctypes, os, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
subprocess.Popen(["sleep", "1000"])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execlp("sleep", "sleep", "1000")
    os._exit(0)
os.wait()
if os.fork() == 0:
    # Forks on and on, each life short: whoever looks at a list is always late. It ends by itself after a minute,
    # so that a failing test does not leave it on the machine for ever.
    os.setsid()
    last = time.monotonic() + 60
    while time.monotonic() < last:
        if os.fork():
            os._exit(0)
        time.sleep(0.001)
print("ready", flush=True)
while True:
    try:
        os.wait()
    except ChildProcessError:
        time.sleep(1000)
"""


@pytest.fixture
def tree() -> Iterator[tuple[Process, str]]:
    """A running tree, and the value of a variable that all its processes carry."""
    mark = secrets.token_hex(8)
    command = [sys.executable, "-c", TREE, f"argument-{mark}"]
    environment = {**os.environ, "SANDBANK_TEST_MARK": mark}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"ready\n"
        process = Process.of(started.pid)
        assert process is not None
        yield process, mark
        end_marked(f"SANDBANK_TEST_MARK={mark}", SECONDS)


def test_whole_tree_ends(tree: tuple[Process, str]) -> None:
    """Children, daemons and what forks without end: all are dead, and so is their root."""
    root, mark = tree
    assert len(descendants(root.pid)) >= 2
    assert end_tree(root, SECONDS)
    assert not root.alive()
    assert find_by_variable(f"SANDBANK_TEST_MARK={mark}") == []


def test_what_outlived_its_root_is_found_by_its_environment(tree: tuple[Process, str]) -> None:
    """Orphans of a killed root belong to nobody; the variable tells whose they were."""
    root, mark = tree
    root.signal(signal.SIGKILL)
    assert end_marked(f"SANDBANK_TEST_MARK={mark}", SECONDS)
    assert find_by_variable(f"SANDBANK_TEST_MARK={mark}") == []


def test_found_by_last_argument_only(tree: tuple[Process, str]) -> None:
    """A process is known by the end of its command line, not by a part of it."""
    root, mark = tree
    assert root in find_by_argument(f"argument-{mark}")
    assert find_by_argument(mark) == []
    assert find_by_argument("argument-") == []


@pytest.mark.parametrize("field", ["start_ticks", "boot"])
def test_another_process_with_the_number_is_not_touched(tree: tuple[Process, str], field: str) -> None:
    """A number that now belongs to another process, or was noted before a restart of the machine, means nobody."""
    root, _ = tree
    other = replace(root, **{field: 1 if field == "start_ticks" else "before"})
    assert not other.alive()
    other.signal(signal.SIGKILL)
    assert end_tree(other, SECONDS)
    assert root.alive()


def test_zombie_is_dead() -> None:
    """A process that only waits to be reaped does not count as running."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    descriptor = os.pidfd_open(pid)
    os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOWAIT)
    os.close(descriptor)
    assert Process.of(pid) is None
    os.waitpid(pid, 0)
    assert Process.of(pid) is None
