"""Forks without hooks, as siblings."""

from __future__ import annotations

import gc
import os
import random
import signal
import threading
import time

import pytest
from sandbank_runner.walls import clone, process_flags

from tests.unit.runner.walls.in_child import in_child


def forked(thread: clone.NativeThread, read_back) -> tuple[int, bytes]:
    """Fork a sibling that writes what ``read_back()`` returns; return (its pid, what it wrote)."""
    read_end, write_end = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    pid = clone.fork_sibling(thread)
    if pid == 0:
        try:
            os.write(write_end, read_back())
        finally:
            os._exit(7)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        return pid, pipe.read()


@pytest.fixture(params=["clone", "_Fork twice"])
def thread(request) -> clone.NativeThread:
    """Both ways: by the address of the thread id, and where the kernel does not tell it."""
    found = clone.native_thread()
    if request.param == "clone":
        assert found.tid_address
        return found
    return clone.NativeThread(0, found.robust_list, found.robust_list_bytes)


def test_the_child_belongs_to_the_callers_parent(thread: clone.NativeThread):
    """The caller cannot wait for it; its parent, the test's process, can, once it has adopted orphans."""

    def work() -> list:
        process_flags.adopt_orphans()  # as the supervisor does
        read_end, write_end = os.pipe()
        middle = os.fork()
        if middle == 0:
            pid, said = forked(thread, lambda: b"%d %d" % (os.getpid(), os.getppid()))
            try:
                os.waitpid(pid, 0)
                waited = True
            except ChildProcessError:
                waited = False
            os.write(write_end, b"%d %s %d" % (pid, said, waited))
            os._exit(0)
        os.waitpid(middle, 0)
        told, own, parent, waited = map(int, os.read(read_end, 100).split())
        _, status = os.waitpid(told, 0)
        return [told == own, parent == os.getpid(), waited, os.waitstatus_to_exitcode(status)]

    assert in_child(work) == [True, True, 0, 7]


def test_no_hook_runs_and_no_state_changes(thread: clone.NativeThread):
    """At-fork hooks, random state and the collector are as they were in the caller."""

    def work() -> list:
        process_flags.adopt_orphans()
        ran: list[str] = []
        os.register_at_fork(before=lambda: ran.append("before"), after_in_child=lambda: ran.append("child"))
        state = random.getstate()
        _, said = forked(thread, lambda: repr([ran, random.getstate() == state, gc.isenabled()]).encode())
        return [said.decode(), ran]

    assert in_child(work) == ["[[], True, True]", []]


def test_threads_and_locks_work_in_every_generation(thread: clone.NativeThread):
    """The C library's thread id is right: joins, timed locks, and signals to oneself, ten generations deep."""

    def work() -> list[int]:
        process_flags.adopt_orphans()
        read_end, write_end = os.pipe()

        def generation(left: int) -> None:
            counted = []
            worker = threading.Thread(target=lambda: counted.append(threading.get_native_id()))
            worker.start()
            worker.join()
            threading.Condition().acquire()
            lock = threading.Lock()
            lock.acquire()
            assert not lock.acquire(timeout=0.001)
            assert threading.get_native_id() == os.getpid()
            if left < 10:  # the first is os.fork's, which leaves this number stale in Python 3.11
                assert threading.main_thread().native_id == os.getpid()
            assert counted[0] != os.getpid()
            hit = []
            signal.signal(signal.SIGUSR1, lambda *_: hit.append(1))
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
            time.sleep(0)
            assert hit == [1]
            deadline = time.monotonic() + 5
            while clone.thread_count() > 1:
                assert (
                    time.monotonic() < deadline
                )  # join() returns before the kernel has let go of the thread
            os.write(write_end, b"%d\n" % left)
            if left:
                before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
                pid = clone.fork_sibling(thread)
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                if pid == 0:
                    try:
                        generation(left - 1)
                    except BaseException as error:
                        os.write(write_end, repr(error).encode())
                    finally:
                        os._exit(0)

        child = os.fork()
        if child == 0:
            try:
                generation(10)
            except BaseException as error:
                os.write(write_end, repr(error).encode())
            finally:
                os._exit(0)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as pipe:
            return pipe.read().decode().split("\n")

    assert in_child(work) == [str(left) for left in range(10, -1, -1)] + [""]


def test_threads_of_c_code_are_counted_too():
    """The kernel's count, not Python's."""
    gate = threading.Event()
    before = clone.thread_count()
    thread = threading.Thread(target=gate.wait)
    thread.start()
    assert clone.thread_count() == before + 1
    gate.set()
    thread.join()


def test_a_full_process_limit_is_an_error(thread: clone.NativeThread):
    """EAGAIN reaches the caller, and nothing is half made."""
    if os.geteuid() != 0:
        pytest.skip("needs to become a user that has no other process")

    def work() -> list:
        import resource

        process_flags.adopt_orphans()
        os.setresuid(54321, 54321, 54321)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        try:
            if clone.fork_sibling(thread) == 0:
                os._exit(0)
        except OSError as error:
            return [error.errno, len(os.listdir("/proc/self/fd"))]
        return ["forked"]

    open_before = in_child(lambda: len(os.listdir("/proc/self/fd")))
    assert in_child(work) == [11, open_before]
