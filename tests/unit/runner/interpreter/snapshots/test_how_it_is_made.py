"""Why a snapshot is no plain fork: each of these broke with one."""

from __future__ import annotations

import ast
import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.unit.runner.interpreter.harness import SECONDS, Done
from tests.unit.runner.interpreter.snapshots.harness import Timeline


def test_random_numbers_go_on_where_they_were(timeline: Timeline) -> None:
    """In the live interpreter as in the woken one: nobody is seeded anew."""
    timeline.ok("import random; random.seed(1)\nfrom random import random as r")
    snapshot = timeline.snapshot()
    first = timeline.ok("r(), r()").text
    timeline.rollback(snapshot)
    second = timeline.snapshot()
    assert timeline.ok("r(), r()").text == first
    timeline.drop(second)
    timeline.ok("random.seed(1)")
    assert timeline.ok("r(), r()").text == first


def test_numpys_random_numbers_go_on_where_they_were(timeline: Timeline) -> None:
    """The global generator and one of the user's."""
    timeline.ok("import numpy as np; np.random.seed(1); g = np.random.default_rng(1)")
    snapshot = timeline.snapshot()
    first = timeline.ok("np.random.rand(), g.random()").text
    timeline.rollback(snapshot)
    assert timeline.ok("np.random.rand(), g.random()").text == first


def test_no_hook_of_the_users_runs_at_a_snapshot(timeline: Timeline) -> None:
    """One that slept held up a snapshot for as long. It is a process of its own that the user did not fork."""
    timeline.ok(
        "import os\nran = []\nos.register_at_fork(before=lambda: ran.append('before'),"
        " after_in_child=lambda: ran.append('child'), after_in_parent=lambda: ran.append('parent'))"
    )
    snapshot = timeline.snapshot()
    assert timeline.ok("ran").text == "[]"
    timeline.rollback(snapshot)
    assert timeline.ok("ran").text == "[]"


def test_waiting_for_children_sees_no_snapshot(timeline: Timeline) -> None:
    """Neither in the first generation nor in a later one: its parent is the supervisor."""
    wait = "import os\ntry: found = os.wait()\nexcept ChildProcessError: found = None\nfound"
    first = timeline.snapshot()
    assert timeline.ok(wait).text is None
    timeline.rollback(first)
    second = timeline.snapshot()
    assert timeline.ok(wait).text is None
    stat = Path(f"/proc/{second.pid}/stat").read_text().rsplit(")", 1)[1].split()
    assert int(stat[1]) == timeline.interpreter.template._process.pid


def test_the_c_library_knows_the_new_thread(timeline: Timeline) -> None:
    """A stale id would fail in ``raise`` and abort in mutexes of several kinds."""
    for _ in range(2):
        timeline.rollback(timeline.snapshot())
    assert timeline.ok("import os, threading\nthreading.get_native_id() == os.getpid()").text == "True"
    assert timeline.ok("threading.main_thread().native_id == os.getpid()").text == "True"
    timeline.ok(
        "import signal\ngot = []\nsignal.signal(10, lambda *_: got.append(1))\nsignal.raise_signal(10)"
    )
    assert timeline.ok("got").text == "[1]"
    timeline.ok(
        "import ctypes\nc = ctypes.CDLL(None)\nmutex = ctypes.create_string_buffer(64)\n"
        "kind = ctypes.create_string_buffer(8)\nc.pthread_mutexattr_init(kind)\n"
        "c.pthread_mutexattr_settype(kind, 2)\nc.pthread_mutexattr_setrobust(kind, 1)\n"  # error checking, robust
        "assert c.pthread_mutex_init(mutex, kind) == c.pthread_mutex_lock(mutex) == 0"
    )
    assert timeline.ok("c.pthread_mutex_lock(mutex), c.pthread_mutex_unlock(mutex)").text == "(35, 0)"


def test_threads_locks_and_forks_work_after_two_thaws(timeline: Timeline) -> None:
    """What a stale thread id or a lock held for ever would break."""
    for _ in range(2):
        timeline.rollback(timeline.snapshot())
    timeline.ok(
        "import threading, queue, multiprocessing, subprocess, logging, tempfile\n"
        "q = queue.Queue(); t = [threading.Thread(target=q.put, args=(n,)) for n in range(4)]\n"
        "[x.start() for x in t]; [x.join() for x in t]\nassert sorted(q.get() for _ in t) == [0, 1, 2, 3]\n"
        "assert subprocess.run(['echo', 'x'], capture_output=True).stdout == b'x\\n'\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n    assert pool.map(abs, [-1, -2]) == [1, 2]\n"
        "logging.getLogger().warning('x')\ntempfile.TemporaryFile().close()"
    )


ONE = """
import threading
e = threading.Event()
t = threading.Thread(target=e.wait, name='the name')
t.start()
"""
TWO = """
import threading
e = threading.Event()
ts = [threading.Thread(target=e.wait, name=n) for n in 'ab']
[t.start() for t in ts];
"""
BELOW = """
import _thread
l = _thread.allocate_lock()
l.acquire()
_thread.start_new_thread(l.acquire, ())
"""

THREADS = {
    "one of Python's": (ONE, ["the name"], "e.set(); t.join()"),
    "two": (TWO, ["a", "b"], "e.set(); [t.join() for t in ts];"),
    "one below threading": (BELOW, 1, "l.release()"),
}


@pytest.mark.parametrize(("begin", "names", "end"), THREADS.values(), ids=THREADS)
def test_other_threads_are_named(timeline: Timeline, begin: str, names: list[str] | int, end: str) -> None:
    """A fork would copy none of them, and a lock that one holds would be held for ever."""
    timeline.ok(begin)
    for _ in range(2):
        refused = timeline.ask()
        assert (refused["type"], refused["reason"]) == ("snapshot_refused", "threads")
        assert refused["threads"] == names or len(refused["threads"]) == names
    timeline.ok(end)
    give_up = time.monotonic() + SECONDS  # the last one has no join
    while timeline.ask()["type"] != "snapshot_taken":
        assert time.monotonic() < give_up


def test_a_thread_that_was_just_joined_is_waited_for(timeline: Timeline) -> None:
    """``join`` returns a moment before the kernel's thread is gone."""
    cell = (
        "import threading\nts = [threading.Thread(target=int) for _ in range(20)]\n"
        "[t.start() for t in ts]; [t.join() for t in ts];"
    )
    for _ in range(20):
        timeline.ok(cell)
        assert timeline.ask()["type"] == "snapshot_taken"


def test_threads_are_named_whatever_they_are_called(timeline: Timeline) -> None:
    """A name may be long, no text at all, or raise when asked for; there may be a great many."""
    timeline.ok(
        "import threading\ne = threading.Event()\nclass T(threading.Thread):\n"
        "    @property\n    def name(self): raise ValueError\n    @name.setter\n    def name(self, n): pass\n"
        "    _name = 5\nt = [T(target=e.wait)]\n"
        "t += [threading.Thread(target=e.wait, name='x' * 10**6) for _ in range(150)]\n[x.start() for x in t];"
    )
    names = timeline.ask()["threads"]
    assert len(names) == 100
    assert max(map(len, names)) == 200
    timeline.ok("e.set(); [x.join() for x in t];")
    assert timeline.ask()["type"] == "snapshot_taken"


def test_there_is_a_descriptor_for_it_when_user_code_has_used_up_its_own(timeline: Timeline) -> None:
    """A few lie above the soft limit, between two operations only."""
    timeline.ok(
        "import os, resource as r\nr.setrlimit(r.RLIMIT_NOFILE, (300, 304)); fs = []\n"
        "try:\n    while True: fs.append(os.open('/dev/null', 0))\nexcept OSError: pass"
    )
    snapshot = timeline.snapshot()
    assert timeline.run("open('/dev/null')").error["type_name"] == "OSError"
    timeline.rollback(snapshot)
    assert timeline.run("open('/dev/null')").error["type_name"] == "OSError"
    timeline.ok("os.close(fs.pop())\nopen('/dev/null').close()")


def test_without_any_descriptor_there_is_none(timeline: Timeline) -> None:
    """User code may give up the reserve too; then that is said."""
    timeline.ok("import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (3, 3))")
    refused = timeline.ask()
    assert (refused["reason"], refused["threads"]) == ("descriptors", [])
    assert timeline.ok("1").text == "1"


def test_the_reserve_is_out_of_user_codes_reach(timeline: Timeline) -> None:
    """What it has set itself holds, to a few below the hard limit."""
    timeline.ok("import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (500, 600))")
    assert timeline.ok("r.getrlimit(r.RLIMIT_NOFILE)").text == "(500, 600)"
    timeline.ok("r.setrlimit(r.RLIMIT_NOFILE, (600, 600))")
    assert timeline.ok("r.getrlimit(r.RLIMIT_NOFILE)").text == "(596, 600)"


def test_live_cycles_are_not_leaked(timeline: Timeline) -> None:
    """The collector goes on seeing them, in the live interpreter and in the woken one."""
    timeline.ok(
        "import gc, weakref\nclass K: pass\na = K(); a.me = a; w = weakref.ref(a); n = gc.get_freeze_count()"
    )
    snapshot = timeline.snapshot()
    collect = "del a; gc.collect(); w() is None, gc.isenabled(), gc.get_freeze_count() - n"
    assert timeline.ok(collect).text == "(True, True, 0)"
    timeline.rollback(snapshot)
    assert timeline.ok(collect).text == "(True, True, 0)"


def test_no_finalizer_runs_in_the_sleeper(timeline: Timeline) -> None:
    """It would act a second time, beside the live one."""
    timeline.ok(
        "import gc, os\nclass K:\n    def __del__(self): open('ran', 'a').write('x')\n"
        "gc.set_threshold(1)\ndef cycle():\n    k = K(); k.me = k\ncycle()\n"
    )
    snapshots = [timeline.snapshot() for _ in range(5)]
    timeline.ok("gc.collect();")
    assert timeline.ok("open('ran').read()").text == "'x'"
    assert len(snapshots) == 5


def test_the_supervisors_death_ends_sleepers(timeline: Timeline) -> None:
    """By the kernel, whatever they are about: here the template stands for it."""
    template = timeline.interpreter.template
    snapshot = timeline.snapshot()
    fields = Path(f"/proc/{snapshot.pid}/stat").read_text().rsplit(")", 1)[1].split()
    assert int(fields[1]) == template._process.pid
    # PR_GET_PDEATHSIG can be asked by the process itself only: once awake, it tells.
    timeline.rollback(snapshot)
    death = "import ctypes\nn = ctypes.c_int()\nctypes.CDLL(None).prctl(2, ctypes.byref(n), 0, 0, 0)\nn.value"
    assert timeline.ok(death).text == str(int(signal.SIGKILL))


def test_a_fork_of_the_users_that_falls_off_the_cells_end_exits(timeline: Timeline) -> None:
    """Also in a woken interpreter: it does not speak to the supervisor."""
    cell = "import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\n'end'"
    timeline.rollback(timeline.snapshot())
    assert timeline.ok(cell).text == "'end'"
    timeline.rollback(timeline.snapshot())
    assert timeline.ok(cell).text == "'end'"


HOSTILE = {
    "audit hook that raises": "import sys\ndef hook(event, args):\n"
    "    if event not in ('compile', 'exec'): raise RuntimeError(event)\nsys.addaudithook(hook)",
    "trace function that raises": "import sys\ndef trace(*_): raise RuntimeError\nsys.settrace(trace)",
    "profile function that exits": "import sys\ndef profile(*_): raise SystemExit\nsys.setprofile(profile)",
    "signals": "import signal\ndef handler(*_): raise RuntimeError\n"
    "for n in signal.valid_signals() - {2, 9, 19}:\n    try: signal.signal(n, handler)\n    except OSError: pass",
    "builtins": "import builtins\nbuiltins.len = builtins.open = builtins.list = builtins.type = None",
    "os": "import os, posix\nfor n in ('dup2', 'close', 'setsid', 'fstat', 'lseek', 'readlink', 'read'):\n"
    "    setattr(os, n, None)\n    setattr(posix, n, None)",
    "gc": "import gc\ngc.disable = gc.enable = gc.isenabled = gc.get_objects = None",
    "threading": "import threading\nthreading.Thread._set_native_id = threading.get_native_id = None\n"
    "threading.main_thread = threading._main_thread = None",
    "sys.modules": "import sys\nsys.modules.clear()",
    "ctypes": "import ctypes\nctypes.get_errno = ctypes.string_at = ctypes.byref = ctypes.create_string_buffer = None",
    "socket": "import _socket\n_socket.socketpair = _socket.socket = None",
    "dup of the channel": "import os\nx = os.dup(250)",
    "ignored children": "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "odd modules": "import sys\nfor n in ('asyncio.selector_events', 'multiprocessing.forkserver',"
    " 'multiprocessing.resource_tracker', 'concurrent.futures.thread', 'tqdm.std'):\n    sys.modules[n] = object()",
}  # fmt: skip


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE)
def test_snapshots_survive_user_code(timeline: Timeline, code: str) -> None:
    """What it hooks, replaces or leaves behind is kept out of the runner's own work."""
    timeline.ok("a = [1]")
    timeline.run(code)
    snapshot = timeline.snapshot()
    timeline.run("a.append(2)")
    timeline.rollback(snapshot)
    assert timeline.run("a").text == "[1]"


def test_audit_hooks_hear_nothing_of_a_snapshot(timeline: Timeline) -> None:
    """It is no doing of the user's, and a hook could hold it up. Workspace and reports of changes are other matters."""

    def ok(code: str) -> Done:
        timeline.interpreter.start(code, report_changes=False)
        done = timeline.interpreter.finish()
        assert done.ok, done.error["traceback_text"]
        return done

    ok(
        "import sys, os\nopen('f', 'w').close(); f = open('f'); r, w = os.pipe(); e = os.eventfd(0); heard = []\n"
        "import select; p = select.epoll(); p.register(r)\n"
        "def hook(event, args): heard.append(event if event != 'open' else f'open {args[0]}')\nsys.addaudithook(hook)"
    )
    tell = "told = heard[:]; heard.clear(); [t for t in told if t[:3] != 'os.' and 'workspace' not in t]"
    ok(tell)
    plain = Counter(ast.literal_eval(ok(tell).text or ""))
    snapshot = timeline.snapshot()
    beside = Counter(ast.literal_eval(ok(tell).text or ""))
    timeline.rollback(snapshot)
    after = Counter(ast.literal_eval(ok(tell).text or ""))
    assert plain
    assert (beside - plain, after - plain) == ({}, {})


def test_standard_streams_are_the_supervisors_in_a_sleeper(timeline: Timeline) -> None:
    """What user code has put in their place is let go of; a copy that it keeps of one of them lives on."""
    timeline.ok("import os\nr, w = os.pipe(); mine = os.dup(1); os.dup2(w, 1); os.close(w)")
    snapshot = timeline.snapshot()
    links = {fd.name: os.readlink(fd) for fd in Path(f"/proc/{snapshot.pid}/fd").iterdir()}
    assert links["1"] == links["252"]
    timeline.rollback(snapshot)
    assert timeline.ok("os.write(mine, b'still');").stdout == "still"


def test_sleepers_have_a_user_of_their_own(start, template) -> None:
    """Out of reach of user code's signals; awake it is user code's user again."""
    if os.geteuid() != 0:
        pytest.skip("changing users needs root; tests/security does it in a container")
    code, sleeper = 303003, 303004
    interpreter = start(template, users=[303001, 303002, code, sleeper])
    timeline = Timeline(interpreter)
    os.chown(interpreter.workspace, code, code)
    timeline.ok(
        f"import os, ctypes\nos.setgroups([]); os.setresgid({code}, {code}, {code})\n"
        f"os.setresuid({code}, {code}, {sleeper})\n"
        "ctypes.CDLL(None).prctl(4, 1, 0, 0, 0);"
    )
    for _ in range(2):
        snapshot = timeline.snapshot()
        status = Path(f"/proc/{snapshot.pid}/status").read_text()
        assert status.split("Uid:", 1)[1].split("\n")[0].split()[:3] == [
            str(sleeper),
            str(code),
            str(sleeper),
        ]
        refused = timeline.run(f"os.kill({snapshot.pid}, 9)").error
        assert refused["type_name"] == "PermissionError"
        timeline.rollback(snapshot)
        assert timeline.ok("os.getresuid()").text == str((code, code, sleeper))
    timeline.close()


def test_the_channel_of_a_snapshot_is_the_live_ones_no_more(timeline: Timeline) -> None:
    """It is closed on one side and close-on-exec on the other; no program inherits it."""
    snapshot = timeline.snapshot()
    run = "import subprocess, sys\nsubprocess.check_output([sys.executable, '-c', {!r}], close_fds=False).decode()"
    listing = run.format(
        "import os, stat\nprint([f for f in range(256) if os.path.lexists(f'/proc/self/fd/{f}')"
        " and stat.S_ISSOCK(os.fstat(f).st_mode)])"
    )
    assert timeline.ok(listing).text == "'[]\\n'"
    timeline.rollback(snapshot)
    assert timeline.ok(listing).text == "'[]\\n'"
