"""Snapshots in their plainest: what a woken one knows, and who it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.runner.interpreter.snapshots.harness import Timeline

COUNTER = """
def f():
    n = 0
    def g():
        nonlocal n
        n += 1
        return n
    return g
g = f()
"""

STATE = {
    "rebound": ("a = 1", "a = 2", "a", "1"),
    "bound": ("pass", "a = 1", "'a' in globals()", "False"),
    "deleted": ("a = 1", "del a", "a", "1"),
    "list": ("a = [1]", "a.append(2)", "a", "[1]"),
    "dict": ("a = {1: 2}", "a.clear()", "a", "{1: 2}"),
    "set": ("a = {1}", "a.add(2)", "a", "{1}"),
    "attribute": ("class K: pass\nk = K(); k.x = 1", "k.x = 2", "k.x", "1"),
    "class attribute": ("class K: x = 1", "K.x = 2", "K.x", "1"),
    "alias": ("a = []; b = a", "b = []", "a is b", "True"),
    "generator": ("g = iter(range(9)); next(g)", "next(g)", "next(g)", "1"),
    "closure": (COUNTER, "g(); g()", "g()", "1"),
    "import": ("import sys", "import wave", "'wave' in sys.modules", "False"),
    "monkey patch": ("import math", "math.pi = 3", "math.pi", "3.141592653589793"),
    "current directory": ("import os; os.mkdir('d')", "os.chdir('d')", "os.path.exists('d')", "True"),
    "environment": ("import os, subprocess\nos.environ['X'] = '1'", "os.environ['X'] = '2'",
                    "os.environ['X'] + subprocess.getoutput('echo $X')", "'11'"),
    "path of modules": ("import sys", "sys.path.append('x')", "'x' in sys.path", "False"),
    "filters of warnings": ("import warnings; n = len(warnings.filters)", "warnings.simplefilter('error')",
                            "len(warnings.filters) - n", "0"),
    "signal handlers": ("import signal", "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
                        "signal.getsignal(signal.SIGTERM) == signal.SIG_DFL", "True"),
    "signal mask": ("import signal", "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})",
                    "signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, ())", "False"),
    "umask": ("import os; os.umask(0o27)", "os.umask(0)", "os.umask(0)", "23"),
    "limits": ("import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (400, 500))",
               "r.setrlimit(r.RLIMIT_NOFILE, (300, 300))", "r.getrlimit(r.RLIMIT_NOFILE)", "(400, 500)"),
    "garbage collector": ("import gc; gc.disable()", "gc.enable()", "gc.isenabled()", "False"),
    "last value": ("7", "8", "_", "7"),
    "logging": ("import logging; log = logging.getLogger('x'); log.setLevel(10)", "log.setLevel(50)",
                "log.level", "10"),
    "database in memory": ("import sqlite3\nd = sqlite3.connect(':memory:')\nd.execute('create table t (x)')",
                           "d.execute('insert into t values (1)')",
                           "d.execute('select count(*) from t').fetchone()", "(0,)"),
    "context variable": ("from contextvars import ContextVar\nv = ContextVar('v'); v.set(1)", "v.set(2)",
                         "v.get()", "1"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "change", "look", "value"), STATE.values(), ids=STATE)
def test_state_comes_back(timeline: Timeline, before: str, change: str, look: str, value: str) -> None:
    """All that lives in the process does, and nothing is said of what could not."""
    timeline.ok(before)
    snapshot = timeline.snapshot()
    timeline.ok(change)
    awake = timeline.rollback(snapshot)
    assert (awake["warnings"], awake["files_truncated"]) == ([], False)
    assert timeline.ok(look).text == value


def test_a_snapshot_may_be_given_up(timeline: Timeline) -> None:
    """A commit: the live interpreter never notices."""
    timeline.ok("a = 1")
    snapshot = timeline.snapshot()
    timeline.ok("a += 1")
    timeline.drop(snapshot)
    assert timeline.ok("a").text == "2"


def test_an_older_snapshot_may_be_woken(timeline: Timeline) -> None:
    """Each of a history is the state of its moment."""
    timeline.ok("a = 0")
    history = []
    for _ in range(5):
        history.append(timeline.snapshot())
        timeline.ok("a += 1")
    assert timeline.rollback(history[2])["warnings"] == []
    assert timeline.ok("a").text == "2"
    timeline.rollback(history[1])
    assert timeline.ok("a").text == "1"


def test_the_interpreters_death_is_not_the_snapshots(timeline: Timeline) -> None:
    """A fault, an exit, a kill: the way back is open."""
    timeline.ok("import ctypes, os, signal\na = [1]")
    for end in (
        "ctypes.string_at(0)",
        "os._exit(3)",
        "os.kill(os.getpid(), 9)",
        "os.kill(0, 9)",
        "os.closerange(3, 999)",
    ):
        snapshot = timeline.snapshot()
        timeline.interpreter.start(f"a.append(2)\n{end}")
        timeline.interpreter.wait()
        timeline.rollback(snapshot)
        assert timeline.ok("a").text == "[1]"


def test_a_woken_one_is_a_whole_interpreter(timeline: Timeline) -> None:
    """It prints, displays, asks, awaits, forks and fails as the first one did, under its own pid."""
    timeline.rollback(timeline.snapshot())
    assert timeline.ok(
        "import os, sys\nprint('out'); print('err', file=sys.stderr)\nos.system('echo child')\n5"
    ).stdout == ("out\nchild\n")
    assert timeline.ok("os.getpid(), os.getpgrp()").text == repr((timeline.interpreter.pid,) * 2)
    assert timeline.ok("display(1)").displays[0]["text/plain"] == b"1"
    assert timeline.ok("import asyncio\nawait asyncio.sleep(0, 3)").text == "3"
    assert timeline.run("1/0").error["type_name"] == "ZeroDivisionError"
    assert timeline.run("input()").error["type_name"] == "EOFError"


def test_a_sleeper_ends_with_its_channel(timeline: Timeline) -> None:
    """When the supervisor lets go of it, nobody can wake it any more."""
    snapshot = timeline.snapshot()
    snapshot.sock.close()
    assert os.waitstatus_to_exitcode(timeline.ends(snapshot)) == 0


def test_a_sleeper_answers_nothing_but_what_it_is_asked(timeline: Timeline) -> None:
    """Messages of a later version, and those for the live interpreter, are passed over."""
    timeline.ok("a = 1")
    snapshot = timeline.snapshot()
    snapshot.send({"type": "of a later version"})
    snapshot.send({"type": "execute", "operation": "x", "execution_count": 1})
    timeline.rollback(snapshot)
    assert timeline.ok("a").text == "1"


@pytest.mark.parametrize(
    "turns", [300, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
def test_many_generations_leak_nothing(timeline: Timeline, turns: int) -> None:
    """Half rolled back, half committed: descriptors, threads, children and memory are as at the beginning."""
    timeline.ok("import os, gc\ndata = [0] * 1000; n = 0; frozen = gc.get_freeze_count()")

    def used() -> tuple[int, int]:
        root = Path(f"/proc/{timeline.interpreter.pid}")
        pages = int((root / "statm").read_text().split()[1])
        return len(list((root / "fd").iterdir())), pages * os.sysconf("SC_PAGESIZE")

    warm = 100
    for turn in range(turns):
        if turn == warm:  # after that all is warm, what the reports of changes remember too
            descriptors, memory = used()
        snapshot = timeline.snapshot()
        timeline.ok("n += 1; data[n % 1000] = n")
        if turn % 2:
            assert timeline.rollback(snapshot)["warnings"] == []
        else:
            timeline.drop(snapshot)
    assert timeline.value("n, max(data)") == (turns // 2, turns // 2)
    assert timeline.value("gc.get_freeze_count() - frozen, len(os.listdir('/proc/self/task'))") == (0, 1)
    assert used()[0] == descriptors
    kept = 500 * (turns - warm)  # the source of each cell, for tracebacks
    assert used()[1] - memory < 1_500_000 + kept
