"""Local mode's sweep: everything but what is kept, however it hides."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from sandbank_runner.supervisor.sweep import kill_descendants, kill_marked
from sandbank_runner.walls import process_flags
from sandbank_runner.walls.system_calls import MACHINE

from tests.unit.runner.walls.in_child import in_child


def pausing() -> int:
    """Fork a child that waits for ever."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
    return pid


def dead(pid: int) -> bool:
    """Reap a child that was killed; False when it lives."""
    found, _ = os.waitpid(pid, os.WNOHANG)
    return found == pid


def test_descendants_die_and_the_kept_live():
    """Children, grandchildren in sessions of their own, orphans."""

    def work() -> list:
        process_flags.adopt_orphans()
        kept, lost = pausing(), pausing()
        read_end, write_end = os.pipe()
        if os.fork() == 0:
            os.setsid()
            os.write(write_end, b"%d\n" % pausing())
            os._exit(0)
        orphan = int(os.read(read_end, 20))
        left = kill_descendants(keep={kept})
        os.waitpid(lost, 0)
        os.waitpid(orphan, 0)
        result = [left, dead(kept)]
        os.kill(kept, signal.SIGKILL)
        return result

    assert in_child(work) == [0, False]


def test_a_chain_of_forks_is_caught():
    """Each forks the next and dies: nothing that one scan finds is there any more."""

    def work() -> int:
        process_flags.adopt_orphans()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        if os.fork() == 0:
            last = time.monotonic() + 60  # a failing test must not leave it on the machine for ever
            while time.monotonic() < last:
                if os.fork():
                    os._exit(0)
        return kill_descendants(keep=())

    assert in_child(work) == 0


def test_a_dead_main_thread_hides_nobody():
    """A process whose main thread has ended shows as a zombie while its other threads live on."""

    def work() -> int:
        process_flags.adopt_orphans()
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            stat = Path(f"/proc/{os.getpid()}/stat")

            def live_on() -> None:
                while b") Z" not in stat.read_bytes():
                    pass
                os.write(write_end, b"x")
                threading.Event().wait()

            threading.Thread(target=live_on, daemon=True).start()
            # Ends this thread alone. By a call that lets go of the interpreter lock, or nobody would run again.
            ctypes.CDLL(None).syscall(60 if MACHINE == "x86_64" else 93, 0)
        os.read(read_end, 1)
        kill_descendants(keep=())
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)

    assert in_child(work) == -signal.SIGKILL


def test_what_outlived_its_supervisor_is_found_by_its_mark():
    """By the environment that it was executed with, grandchildren too; others are left alone."""
    mark = f"SANDBANK_SANDBOX_ID=sb-{os.urandom(4).hex()}"
    name, _, value = mark.partition("=")
    code = "import os, sys, signal; os.fork(); sys.stdout.write('x'); sys.stdout.flush(); signal.pause()"
    with (
        subprocess.Popen([sys.executable, "-c", code], env={name: value}, stdout=subprocess.PIPE) as marked,
        subprocess.Popen(
            [sys.executable, "-c", code], env={name: value + "0"}, stdout=subprocess.PIPE
        ) as other,
    ):
        for process in (marked, other):
            assert process.stdout is not None
            assert process.stdout.read(2) == b"xx"
        assert kill_marked(mark, keep=()) == 0
        assert marked.wait(10) == -signal.SIGKILL
        assert marked.stdout is not None
        assert marked.stdout.read() == b""  # its child is dead as well
        assert other.poll() is None
        assert kill_marked(mark + "0", keep=()) == 0
