"""The filter of user code: what it refuses, with which error, and that it lets everything else through."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import socket
import subprocess
import sys
import threading

import pytest
from sandbank_runner.walls import process_flags, seccomp_filter
from sandbank_runner.walls.numbers import NUMBERS, number_of, number_on
from sandbank_runner.walls.system_calls import MACHINE, system_call

from tests.unit.runner.walls.bpf import ALLOWED, decide
from tests.unit.runner.walls.in_child import error_of, in_child

AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
MACHINES = list(AUDIT)
CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWNS, CLONE_VM, SIGCHLD = 0x10000000, 0x40000000, 0x20000, 0x100, 17
TIOCSTI, TIOCLINUX, TIOCGWINSZ = 0x5412, 0x541C, 0x5413


def ask(machine: str, name: str, *arguments: int, **options: bool) -> str | int:
    """Return what the filter of ``machine`` says to a call."""
    number = number_on(machine, name)
    assert number is not None
    return decide(seccomp_filter.program(machine, **options), AUDIT[machine], number, arguments)


@pytest.mark.parametrize("machine", MACHINES)
def test_each_listed_call_fails_as_listed(machine: str):
    """EPERM for what is refused, ENOSYS for what libraries can do without."""
    for names, expected in ((seccomp_filter.REFUSED, errno.EPERM), (seccomp_filter.ABSENT, errno.ENOSYS)):
        for name in names:
            if number_on(machine, name) is not None:
                assert ask(machine, name) == expected, name


@pytest.mark.parametrize("machine", MACHINES)
def test_every_other_number_is_allowed(machine: str):
    """With arguments of zero: only what is listed, and what looks at its arguments, is ever refused."""
    listed = {number_on(machine, name) for name in (*seccomp_filter.REFUSED, *seccomp_filter.ABSENT)}
    looking = {number_on(machine, "socket")}  # family 0 is none
    program = seccomp_filter.program(machine)
    for number in set(range(460)) - listed - looking:
        assert decide(program, AUDIT[machine], number) == ALLOWED, number


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("socket", (socket.AF_UNIX, 1, 0), ALLOWED),
        ("socket", (socket.AF_INET, 1, 0), ALLOWED),
        ("socket", (socket.AF_INET6, 1, 0), ALLOWED),
        ("socket", (0, 1, 0), errno.EAFNOSUPPORT),
        ("socket", (16, 3, 0), errno.EAFNOSUPPORT),  # netlink
        ("socket", (38, 5, 0), errno.EAFNOSUPPORT),  # alg
        ("socket", (40, 1, 0), errno.EAFNOSUPPORT),  # vsock
        ("ioctl", (0, TIOCSTI, 0), errno.EPERM),
        ("ioctl", (0, TIOCLINUX, 0), errno.EPERM),
        ("ioctl", (0, 0xABCD_0000_0000 | TIOCSTI, 0), errno.EPERM),  # the kernel looks at 32 bits
        ("ioctl", (0, TIOCGWINSZ, 0), ALLOWED),
        ("prlimit64", (0, 7, 0, 0), ALLOWED),
        ("prlimit64", (1, 7, 0, 0), errno.EPERM),
        ("prlimit64", (0x1_0000_0000, 7, 0, 0), ALLOWED),  # the kernel sees process 0, the caller
        ("setpriority", (0, 0, 5), ALLOWED),
        ("setpriority", (0, 1, 5), errno.EPERM),
        ("setpriority", (1, 0, 5), errno.EPERM),
        ("setpriority", (2, 0, 5), errno.EPERM),
        ("clone", (SIGCHLD,), ALLOWED),
        ("clone", (CLONE_VM | 0x3D0F00,), ALLOWED),  # a thread
        ("clone", (CLONE_NEWUSER | SIGCHLD,), errno.EPERM),
        ("clone", (CLONE_NEWNET | SIGCHLD,), errno.EPERM),
        ("clone", (CLONE_NEWNS,), errno.EPERM),
        ("kill", (-1, 9), ALLOWED),
    ],
)
def test_arguments_decide(machine: str, name: str, arguments: tuple[int, ...], expected: str | int):
    """Own limits and priority, known families, plain forks and threads pass; the rest does not."""
    assert ask(machine, name, *arguments) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_strangers_are_spared_where_asked(machine: str):
    """No signal to everybody, where "everybody" has processes of somebody else's; to one, any."""
    assert ask(machine, "kill", -1, 9, spare_strangers=True) == errno.EPERM
    assert ask(machine, "kill", 1234, 9, spare_strangers=True) == ALLOWED


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_architecture_do_not_exist(machine: str):
    """32-bit code and x32 would have other numbers."""
    program = seccomp_filter.program(machine)
    assert decide(program, 0x40000003, 20) == errno.ENOSYS
    if machine == "x86_64":
        assert decide(program, AUDIT[machine], 0x40000000 + 39) == errno.ENOSYS


def test_every_name_has_a_number():
    """A name without one would be skipped in silence; modify_ldt is x86's own."""
    names = {*seccomp_filter.REFUSED, *seccomp_filter.ABSENT}
    assert names <= NUMBERS.keys()
    assert [name for name in names if None in NUMBERS[name]] == ["modify_ldt"]
    assert len(names) == len(seccomp_filter.REFUSED) + len(seccomp_filter.ABSENT)


def entered() -> None:
    """Put the filter of this machine on the calling process."""
    process_flags.give_up_new_privileges()
    seccomp_filter.enter(seccomp_filter.program(MACHINE))


def test_the_kernel_takes_the_filter_and_keeps_to_it():
    """For real, in a child: refusals with their errors, and not only in the thread that entered."""
    assert seccomp_filter.available()

    def work() -> dict[str, int]:
        entered()
        results = {
            "ptrace": error_of(lambda: system_call(number_of("ptrace"), 0, 0, 0, 0)),
            "io_uring": error_of(lambda: system_call(number_of("io_uring_setup"), 1, 0)),
            "unshare": error_of(lambda: system_call(number_of("unshare"), CLONE_NEWUSER)),
            "netlink": error_of(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()),
            "parent_limit": error_of(lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)),
            "parent_priority": error_of(lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)),
            "affinity": error_of(lambda: os.sched_setaffinity(0, {0})),
            "own_limit": error_of(lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0))),
            "own_priority": error_of(lambda: os.nice(1)),
            "terminal": error_of(lambda: fcntl.ioctl(0, TIOCSTI, b"x")),
        }
        thread = threading.Thread(
            target=lambda: results.update(thread=error_of(lambda: os.sched_setaffinity(0, {0})))
        )
        thread.start()
        thread.join()
        return results

    assert in_child(work) == {
        "ptrace": errno.EPERM,
        "io_uring": errno.ENOSYS,
        "unshare": errno.EPERM,
        "netlink": errno.EAFNOSUPPORT,
        "parent_limit": errno.EPERM,
        "parent_priority": errno.EPERM,
        "affinity": errno.EPERM,
        "own_limit": 0,
        "own_priority": 0,
        "terminal": errno.EPERM,
        "thread": errno.EPERM,
    }


def test_programs_run_behind_the_filter():
    """Fork, exec, threads and pipes: glibc falls back from clone3."""

    def work() -> list[str]:
        entered()
        code = "import threading as t; h = t.Thread(target=lambda: print('thread')); h.start(); h.join(); print('end')"
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()

    assert in_child(work) == ["thread", "end"]
