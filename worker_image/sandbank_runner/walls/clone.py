"""Forking without at-fork hooks, as siblings: a raw ``clone`` whose child is a child of the caller's parent.

``os.fork`` runs hooks that preloaded packages and user code registered, reseeds ``random``, and makes the new
process a child that user code's ``os.wait()`` would wait for. With CLONE_PARENT the supervisor stays the
direct parent in every generation.

The C library keeps the thread's id in its own memory. CLONE_CHILD_SETTID and CLONE_CHILD_CLEARTID with the
address that it registered keep that right; without them mutexes and ``raise`` in the child use the parent's
id. The list of robust mutexes is per kernel thread and registered anew.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass

from sandbank_runner.walls.numbers import number_of
from sandbank_runner.walls.system_calls import (
    MACHINE,
    failure,
    library_function,
    process_control,
    system_call,
)

_CLONE_PARENT = 0x0000_8000
_CLONE_CHILD_CLEARTID = 0x0020_0000
_CLONE_CHILD_SETTID = 0x0100_0000
_PR_GET_TID_ADDRESS = 40
_PID = struct.Struct("i")
_BARE_FORK = library_function("_Fork")
# Looked up before user code runs, which may replace them: interpreters fork beside it.
_FLAGS = _CLONE_PARENT | _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID | int(signal.SIGCHLD)
_pipe, _close, _read, _write, _exit, _waitpid = os.pipe, os.close, os.read, os.write, os._exit, os.waitpid
_getpid, _getppid, _sched_yield = os.getpid, os.getppid, os.sched_yield
_get_errno, _strerror = ctypes.get_errno, os.strerror
_main_thread, _native_id, _Thread = threading.main_thread, threading.get_native_id, threading.Thread


@dataclass(frozen=True, slots=True)
class NativeThread:
    """What the kernel was told of the C library's thread; the same in every generation of forks."""

    tid_address: int
    """Where the library keeps the thread id; 0: this kernel does not tell (no CONFIG_CHECKPOINT_RESTORE)."""
    robust_list: int
    robust_list_bytes: int


def native_thread() -> NativeThread:
    """Look at the calling thread; once, before the first clone. Raises OSError without a robust list."""
    address = ctypes.c_ulong(0)
    try:
        process_control(_PR_GET_TID_ADDRESS, ctypes.addressof(address))
    except OSError:
        address.value = 0
    head, size = ctypes.c_ulong(0), ctypes.c_ulong(0)
    system_call(number_of("get_robust_list"), 0, ctypes.addressof(head), ctypes.addressof(size))
    return NativeThread(address.value, head.value, size.value)


def thread_count() -> int:
    """Return how many threads the kernel sees in this process, those that Python does not know included."""
    with open("/proc/self/stat", "rb", buffering=0) as file:
        return int(file.read(2000).rsplit(b")", 1)[1].split()[17])


def fork_sibling(thread: NativeThread) -> int:
    """Fork; return 0 in the child, whose parent is the caller's parent, and its pid in the caller.

    For a process with one thread, with all signals blocked. OSError EAGAIN or ENOMEM when there can be no
    more processes. The child calls nothing of the C library that could take a lock held elsewhere: there is
    no elsewhere.
    """
    if not thread.tid_address:
        return _fork_twice("_Fork")
    number = number_of("clone")
    if MACHINE == "x86_64":  # flags, stack, parent_tid, child_tid, tls
        pid = system_call(number, _FLAGS, 0, 0, thread.tid_address, 0)
    else:  # flags, stack, parent_tid, tls, child_tid
        pid = system_call(number, _FLAGS, 0, 0, 0, thread.tid_address)
    if pid == 0:
        system_call(number_of("set_robust_list"), thread.robust_list, thread.robust_list_bytes)
        _correct_thread_id()
    return pid


def fork_with_handlers() -> int:
    """Do the same from a process whose other threads wait idle in libraries that are made for being forked.

    Their own handlers (``pthread_atfork``) run, and start these threads anew when they are needed; Python's hooks and
    those of user code do not.
    """
    return _fork_twice("fork")


def _fork_twice(first: str) -> int:
    """Fork by the C library's ``first``, and again by ``_Fork`` (no handlers) from a middle one that ends.

    The child is adopted by whoever adopts orphans. At two to three times the cost of a clone.
    """
    bare_fork, fork = _BARE_FORK, library_function(first)
    if bare_fork is None or fork is None:
        raise OSError(errno.ENOSYS, "neither PR_GET_TID_ADDRESS nor _Fork")
    told, tell = _pipe()
    ended, alive = _pipe()  # the write end closes when caller and middle one have let go of it
    middle = fork()
    if middle == 0:
        own = _getpid()
        child = bare_fork()
        if child == 0:
            _close(alive)
            _read(ended, 1)
            while _getppid() == own:  # its descriptors are closed a moment before its children are handed on
                _sched_yield()
            for descriptor in (told, tell, ended):
                _close(descriptor)
            _correct_thread_id()
            return 0
        _write(tell, _PID.pack(child if child > 0 else -_get_errno()))
        _exit(0)
    problem = failure()
    for descriptor in (tell, ended, alive):
        _close(descriptor)
    try:
        if middle == -1:
            raise problem
        with suppress(ChildProcessError):  # user code ignores SIGCHLD: nobody need wait
            _waitpid(middle, 0)
        (pid,) = _PID.unpack(_read(told, _PID.size))
    finally:
        _close(told)
    if pid < 0:
        raise OSError(-pid, _strerror(-pid))
    return int(pid)


def _correct_thread_id() -> None:
    """Make ``threading`` show the child's id; ``os.fork`` would have done it by a hook."""
    main_thread = _main_thread()
    if isinstance(main_thread, _Thread):  # user code may have put anything in its place
        vars(main_thread)["_native_id"] = _native_id()
