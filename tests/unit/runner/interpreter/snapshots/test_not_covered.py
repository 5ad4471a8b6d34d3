"""What a fork does not copy: put back where that can be, let go of and named where it cannot."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.unit.runner.interpreter.snapshots.harness import Timeline


def not_covered(awake: dict[str, Any]) -> dict[str, list[str]]:
    """Return the names of each warning, by the first word of what it says."""
    assert {warning["code"] for warning in awake["warnings"]} <= {"NOT_COVERED"}
    return {warning["message"].split()[0]: warning["names"] for warning in awake["warnings"]}


# Regular files.


@pytest.mark.parametrize("mode", ["r", "rb", "r+", "rb+"])
def test_a_reader_goes_on_where_it_was(timeline: Timeline, mode: str) -> None:
    """The offset is shared by all that have the file open from before a fork, also behind a buffer."""
    timeline.ok("open('f', 'w').write('0123456789' * 5000);")
    timeline.ok(f"f = open('f', '{mode}'); f.read(5);")
    snapshot = timeline.snapshot()
    timeline.ok("f.read();")
    assert not_covered(timeline.rollback(snapshot)) == {}
    assert timeline.ok("''.join(map(chr, f.read(5))) if 'b' in f.mode else f.read(5)").text == "'56789'"
    assert timeline.ok("len(f.read())").text == "49990"


def test_a_bare_descriptor_goes_on_where_it_was(timeline: Timeline) -> None:
    """And so does a directory that is being listed; flags that were set since are taken back."""
    timeline.ok(
        "import os, fcntl\nopen('f', 'w').write('0123456789'); d = os.open('f', os.O_RDWR); os.read(d, 3);"
    )
    snapshot = timeline.snapshot()
    timeline.ok("os.lseek(d, 0, 0); fcntl.fcntl(d, fcntl.F_SETFL, os.O_APPEND)")
    timeline.rollback(snapshot)
    assert timeline.ok("os.read(d, 2), fcntl.fcntl(d, fcntl.F_GETFL) & os.O_APPEND").text == "(b'34', 0)"


WRITERS = {
    "text": "open('f', 'w')",
    "binary": "open('f', 'wb')",
    "both ways": "open('f', 'wb+')",
    "appending": "open('f', 'ab')",
    "codecs": "__import__('codecs').open('f', 'w', 'utf-8')",
    "temporary": "__import__('tempfile').NamedTemporaryFile(dir='.', delete=False)",
    "of a user's class": "type('F', (__import__('io').FileIO,), {})('f', 'w')",
    "a user's buffer": "type('B', (__import__('io').BufferedWriter,), {})(open('f', 'wb', 0))",
    "a user's text": "type('T', (__import__('io').TextIOWrapper,), {})(open('f', 'wb'))",
    "a log": "__import__('logging').FileHandler('f').stream or open('f', 'w')",
}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_what_is_buffered_is_written_once(timeline: Timeline, writer: str) -> None:
    """By the live interpreter, by the woken one, or by both for what they wrote themselves: never twice."""
    timeline.ok(
        f"f = {writer}\nname = f.name\ntry:\n    f.write('a' * 10); b = 'b'\n"
        "except TypeError:\n    f.write(b'a' * 10); b = b'b'"
    )
    snapshot = timeline.snapshot()
    assert timeline.ok("open(name).read()").text == "'aaaaaaaaaa'"
    timeline.ok("f.flush()")
    assert timeline.ok("open(name).read()").text == "'aaaaaaaaaa'"
    timeline.rollback(snapshot)
    timeline.ok("f.write(b); f.flush(); f.close()")
    assert timeline.ok("open(name).read()").text == "'aaaaaaaaaab'"


def test_what_a_rolled_back_operation_buffered_is_not_written(timeline: Timeline) -> None:
    """It was in the memory of a process that is dead; what it wrote out stays, unless files roll back."""
    timeline.ok("f = open('f', 'w'); f.write('a');")
    snapshot = timeline.snapshot()
    timeline.ok("f.write('lost');")
    timeline.rollback(snapshot)
    timeline.ok("f.write('b'); f.close()")
    assert timeline.ok("open('f').read()").text == "'ab'"


def test_compressed_files_go_on(timeline: Timeline) -> None:
    """The compressor's state is memory, and what it has given out lies before the offset."""
    timeline.ok(
        "import gzip, zipfile\ng = gzip.open('g', 'wt'); g.write('a' * 1000)\nz = zipfile.ZipFile('z', 'w')"
    )
    timeline.ok("z.writestr('one', '1' * 1000)")
    snapshot = timeline.snapshot()
    timeline.ok("g.write('x'); g.flush(); z.writestr('lost', '2' * 9); z.close()")
    timeline.rollback(snapshot)
    timeline.ok("g.write('b'); g.close(); z.writestr('two', '2'); z.close()")
    assert timeline.ok("gzip.open('g', 'rt').read() == 'a' * 1000 + 'b'").text == "True"
    assert (
        timeline.ok("zipfile.ZipFile('z').namelist(), zipfile.ZipFile('z').testzip()").text
        == "(['one', 'two'], None)"
    )


def test_a_flush_of_the_users_is_not_called(timeline: Timeline) -> None:
    """It may block or act; nor is a pipe flushed, which may be full."""
    timeline.ok(
        "import io, os\ncalled = []\n"
        "class F(io.BufferedWriter):\n    def flush(self): called.append(1); super().flush()\n"
        "class R(io.FileIO):\n    def write(self, b): called.append(2); return len(b)\n"
        "f = F(open('f', 'wb', 0)); f.write(b'a'); r = io.BufferedWriter(R('g', 'w')); r.write(b'a')\n"
        "a, b = os.pipe(); p = open(b, 'wb'); p.write(b'x'); called.clear()"
    )
    timeline.snapshot()
    assert timeline.ok("called, open('f').read()").text == "([], 'a')"
    assert timeline.ok(
        "os.set_blocking(a, False)\ntry: os.read(a, 1)\nexcept BlockingIOError: print('empty')"
    ).stdout == ("empty\n")


# Pipes, sockets, terminals.


def test_a_pipeline_goes_on_beside_a_sleeper(timeline: Timeline) -> None:
    """`communicate` waits for the end of a pipe that a sleeper with its write end would keep open for ever."""
    timeline.ok("import subprocess as s\np = s.Popen(['cat'], stdin=s.PIPE, stdout=s.PIPE)")
    timeline.snapshot()
    assert timeline.ok("p.communicate(b'x')[0], p.returncode").text == "(b'x', 0)"


def test_a_pipe_of_the_users_ends_when_it_closes_it(timeline: Timeline) -> None:
    """Within one process too."""
    timeline.ok("import os\nr, w = os.pipe(); os.write(w, b'x');")
    timeline.snapshot()
    assert timeline.ok("os.close(w); os.read(r, 9), os.read(r, 9)").text == "(b'x', b'')"


def test_a_port_is_free_when_its_server_closes_it(timeline: Timeline) -> None:
    """And its clients see the end."""
    timeline.ok(
        "import socket\ns = socket.create_server(('127.0.0.1', 0)); port = s.getsockname()[1]\n"
        "c = socket.create_connection(('127.0.0.1', port)); a = s.accept()[0]"
    )
    timeline.snapshot()
    assert timeline.ok("a.close(); c.settimeout(9); c.recv(1)").text == "b''"
    timeline.ok("s.close(); c.close()\ns = socket.create_server(('127.0.0.1', port))")


def test_after_a_thaw_they_are_at_their_end_and_named(timeline: Timeline) -> None:
    """Reading gives nothing, writing fails, nothing hangs; numbers stay taken, and close-on-exec as it was."""
    timeline.ok(
        "import os, socket\nr, w = os.pipe(); a, b = socket.socketpair(); a.send(b'x')\n"
        "m, t = os.openpty(); os.set_inheritable(r, True)"
    )
    snapshot = timeline.snapshot()
    names = not_covered(timeline.rollback(snapshot))
    numbers = timeline.value("r, w, a.fileno(), b.fileno(), m, t")
    kinds = ["pipe", "socket", "socket", "terminal", "terminal"]
    shown = [numbers[0], *numbers[2:]]  # the two ends of a pipe are one pipe
    assert names == {"pipes,": [f"descriptor {n} ({kind})" for n, kind in zip(shown, kinds, strict=True)]}
    assert timeline.ok("os.read(r, 1), b.recv(1), os.get_inheritable(r), os.get_inheritable(w)").text == (
        "(b'', b'', True, False)"
    )
    assert timeline.run("os.write(w, b'x')").error["type_name"] == "BrokenPipeError"
    timeline.ok("a.close(); b.close(); [os.close(f) for f in (r, w, m, t)];")
    assert not_covered(timeline.rollback(timeline.snapshot())) == {}


def test_output_that_user_code_has_a_copy_of_is_no_loss(timeline: Timeline) -> None:
    """A saved standard stream is the supervisor's pipe, which lives on."""
    timeline.ok("import os, sys\nsaved = os.dup(1), os.dup(2)")
    assert not_covered(timeline.rollback(timeline.snapshot())) == {}
    assert timeline.ok("os.write(saved[0], b'x');").stdout == "x"


# Memory, processes, locks, timers.

MAPPED = "import mmap\nopen('f', 'wb').write(bytes(4096))\nf = open('f', 'rb+')\nm = mmap.mmap(f.fileno(), 0)"
NAMED = "from multiprocessing import shared_memory as s\nm = s.SharedMemory(create=True, size=99)"

SHARED = {
    "anonymous": ("import mmap\nm = mmap.mmap(-1, 4096)", "anonymous memory"),
    "a file": (MAPPED, "/f"),
    "multiprocessing": ("import multiprocessing as p\nm = p.Value('i', 1)", "/pym-"),
    "shared_memory": (NAMED, "/dev/shm/"),
}


@pytest.mark.parametrize(("code", "name"), SHARED.values(), ids=SHARED)
def test_shared_memory_is_named(timeline: Timeline, code: str, name: str) -> None:
    """What is written to it after the snapshot stays."""
    timeline.ok(code)
    names = not_covered(timeline.rollback(timeline.snapshot()))
    timeline.run("m.close(); m.unlink()")
    assert any(name in found for found in names["shared"])


def test_memory_that_cannot_be_written_is_no_loss(timeline: Timeline) -> None:
    """Nor is a private mapping."""
    timeline.ok(
        "import mmap\nopen('f', 'wb').write(bytes(4096))\nf = open('f', 'rb+')\n"
        "a = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ); b = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)\n"
        "c = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE); f.close()"
    )
    assert not_covered(timeline.rollback(timeline.snapshot())) == {}


def test_older_children_are_named(timeline: Timeline) -> None:
    """They live on as somebody else's; the numbers of those that ended are told too, for nobody can wait for them."""
    timeline.ok("import subprocess as s\np = s.Popen(['sleep', '60']); q = s.Popen(['true'])")
    pids = timeline.value("p.pid, q.pid")
    names = not_covered(timeline.rollback(timeline.snapshot()))
    timeline.ok("import os; os.kill(p.pid, 9)")
    assert names == {"processes": [f"process {pid}" for pid in pids]}


def test_locks_of_files_are_named(timeline: Timeline) -> None:
    """They belong to the process: an SQLite file in a transaction is locked no more."""
    timeline.ok(
        "import sqlite3\nd = sqlite3.connect('db'); d.execute('create table t (x)')\nd.execute('begin immediate');"
    )
    names = not_covered(timeline.rollback(timeline.snapshot()))
    timeline.ok("d.rollback()")
    assert [name.rsplit("/", 1)[1] for name in names["fcntl"]] == ["db"]


def test_an_interval_timer_goes_on_with_the_time_that_was_left(timeline: Timeline) -> None:
    """A fork starts without; the woken interpreter has it again, and it is no loss."""
    timeline.ok("import signal as s\ns.setitimer(s.ITIMER_REAL, 500, 7); s.setitimer(s.ITIMER_PROF, 300)")
    snapshot = timeline.snapshot()
    timeline.ok("s.alarm(0)")
    assert not_covered(timeline.rollback(snapshot)) == {}
    seconds, interval = timeline.value("s.getitimer(s.ITIMER_REAL)")
    assert (490 < seconds <= 500, interval) == (True, 7)
    assert timeline.ok("s.getitimer(s.ITIMER_PROF)[0] > 290").text == "True"


def test_a_signal_that_waited_still_waits(timeline: Timeline) -> None:
    """One that came between two operations reaches user code's handler after a rollback as before."""
    timeline.ok("import signal, os\ngot = []\nsignal.signal(10, lambda *_: got.append(1))")
    os.kill(timeline.interpreter.pid, 10)
    snapshot = timeline.snapshot()
    timeline.ok("pass")
    assert timeline.ok("got").text == "[1]"
    timeline.rollback(snapshot)
    timeline.ok("pass")
    assert timeline.ok("got").text == "[1]"


COUNTERS = {
    "eventfd": "import os; d = os.eventfd(1)",
    "timerfd": "import ctypes; d = ctypes.CDLL(None).timerfd_create(0, 0)",
}


@pytest.mark.parametrize(("kind", "code"), COUNTERS.items(), ids=COUNTERS)
def test_counters_of_the_kernel_are_named(timeline: Timeline, kind: str, code: str) -> None:
    """They are shared, as offsets are, and nobody can put them back."""
    timeline.ok(code)
    number = timeline.ok("d").text
    assert not_covered(timeline.rollback(timeline.snapshot())) == {
        "timers": [f"descriptor {number} ({kind})"]
    }


def test_timers_of_c_code_are_named(timeline: Timeline) -> None:
    """Those of ``timer_create``, which no process can list with the time that is left."""
    timeline.ok(
        "import ctypes\nc = ctypes.CDLL(None); t = ctypes.c_void_p()\n"
        "assert c.timer_create(0, None, ctypes.byref(t)) == 0"
    )
    assert not_covered(timeline.rollback(timeline.snapshot())) == {"timers": ["ID: 0"]}


def test_names_are_bounded(timeline: Timeline) -> None:
    """A session with very many of one kind."""
    timeline.ok("import os\np = [os.pipe() for _ in range(150)]")
    assert len(not_covered(timeline.rollback(timeline.snapshot()))["pipes,"]) == 100


def test_a_snapshot_killed_by_user_code_is_only_lost(timeline: Timeline) -> None:
    """The live interpreter goes on; whoever holds the channel sees its end."""
    timeline.ok("a = 1")
    older, newer = timeline.snapshot(), timeline.snapshot()
    timeline.ok(f"import os; os.kill({newer.pid}, 9)")
    assert os.WTERMSIG(timeline.ends(newer)) == 9
    timeline.ok("a = 2")
    timeline.rollback(older)
    assert timeline.ok("a").text == "1"
