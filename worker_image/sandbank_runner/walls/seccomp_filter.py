"""The filter that user code puts on itself: beside the container's profile, where there is one.

It denies, and never kills. Beside calls that are refused outright it looks at arguments, which the
container's profile does not do as finely: limits, priority and CPUs of other processes, input pushed into a
terminal, new namespaces. Arguments that the kernel reads as ``int`` are compared by their low 32 bits, as the
kernel does.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Sequence

from sandbank_runner.walls.numbers import number_of, number_on
from sandbank_runner.walls.system_calls import MACHINE, system_call

REFUSED = (
    # Looking into, stopping, and slowing others; keys; kernel interfaces with a history.
    "add_key", "bpf", "kcmp", "keyctl", "perf_event_open", "personality", "pidfd_getfd", "process_vm_readv",
    "process_vm_writev", "ptrace", "request_key", "modify_ldt", "ioprio_set", "sched_setaffinity",
    "sched_setattr", "sched_setparam", "sched_setscheduler",
    # The view of the file system.
    "chroot", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount",
    "open_by_handle_at", "open_tree", "pivot_root", "setns", "umount2", "unshare",
)  # fmt: skip
"""EPERM."""

ABSENT = (
    "clone3", "execveat", "fanotify_init", "fanotify_mark", "io_cancel", "io_destroy", "io_getevents",
    "io_pgetevents", "io_setup", "io_submit", "io_uring_enter", "io_uring_register", "io_uring_setup",
    "mbind", "memfd_secret", "migrate_pages", "move_pages", "mq_getsetattr", "mq_notify", "mq_open",
    "mq_timedreceive", "mq_timedsend", "mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd",
    "name_to_handle_at", "pkey_alloc", "pkey_free", "pkey_mprotect", "process_madvise", "semctl", "semget",
    "semop", "semtimedop", "set_mempolicy", "set_mempolicy_home_node", "shmat", "shmctl", "shmdt", "shmget",
    "splice", "tee", "userfaultfd", "vmsplice",
)  # fmt: skip
"""ENOSYS, so that libraries fall back; ``clone3`` because its flags cannot be seen."""

SOCKET_FAMILIES = (1, 2, 10)
"""AF_UNIX, AF_INET, AF_INET6; others EAFNOSUPPORT."""

_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_NEW_NAMESPACES = 0x7E02_0000  # every CLONE_NEW* flag that clone takes
_ALL_PROCESSES = 0xFFFF_FFFF  # kill's -1

_AUDIT = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
_X32 = 0x4000_0000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF_0000, 0x0005_0000
_NUMBER, _ARCHITECTURE = 0, 4

_SET_MODE_FILTER = 1


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _give(number: int) -> bytes:
    return _instruction(_RETURN, _ERRNO | number)


def _argument(index: int) -> bytes:
    return _instruction(_LOAD, 16 + 8 * index)  # both machines are little-endian: the low half comes first


def _unless_equal(index: int, value: int, number: int) -> list[bytes]:
    """Go on when argument ``index`` is ``value``, else fail with ``number``."""
    return [_argument(index), _instruction(_EQUAL, value, 1, 0), _give(number)]


def _for_call(machine: str, name: str, body: Sequence[bytes]) -> list[bytes]:
    """Do ``body``, then allow, when the call is ``name``; otherwise leave its number where it is."""
    call = number_on(machine, name)
    assert call is not None
    return [_instruction(_EQUAL, call, 0, len(body) + 1), *body, _instruction(_RETURN, _ALLOW)]


def program(machine: str, *, spare_strangers: bool = False) -> bytes:
    """Return the filter for ``machine`` as the kernel takes it, eight bytes an instruction.

    ``spare_strangers`` also refuses to signal every process at once: for user code whose user owns processes
    outside the sandbox, on a kernel that does not confine signals. KeyError for an unknown machine.
    """
    code = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_EQUAL, _AUDIT[machine], 1, 0),
        _give(errno.ENOSYS),
    ]
    code.append(_instruction(_LOAD, _NUMBER))
    if machine == "x86_64":
        code += [_instruction(_AT_LEAST, _X32, 0, 1), _give(errno.ENOSYS)]
    for names, number in ((REFUSED, errno.EPERM), (ABSENT, errno.ENOSYS)):
        for name in names:
            call = number_on(machine, name)
            if call is not None:
                code += [_instruction(_EQUAL, call, 0, 1), _give(number)]
    families = [_argument(0)]
    for left, family in enumerate(SOCKET_FAMILIES):
        families.append(_instruction(_EQUAL, family, len(SOCKET_FAMILIES) - left, 0))
    code += _for_call(machine, "socket", [*families, _give(errno.EAFNOSUPPORT)])
    terminal = [_argument(1), _instruction(_EQUAL, _TIOCSTI, 1, 0), _instruction(_EQUAL, _TIOCLINUX, 0, 1)]
    code += _for_call(machine, "ioctl", [*terminal, _give(errno.EPERM)])
    code += _for_call(machine, "prlimit64", _unless_equal(0, 0, errno.EPERM))
    own = [*_unless_equal(0, 0, errno.EPERM), *_unless_equal(1, 0, errno.EPERM)]  # PRIO_PROCESS, the caller
    code += _for_call(machine, "setpriority", own)
    namespaces = [_argument(0), _instruction(_ANY_BIT, _NEW_NAMESPACES, 0, 1), _give(errno.EPERM)]
    code += _for_call(machine, "clone", namespaces)
    if spare_strangers:
        everyone = [_argument(0), _instruction(_EQUAL, _ALL_PROCESSES, 0, 1), _give(errno.EPERM)]
        code += _for_call(machine, "kill", everyone)
    code.append(_instruction(_RETURN, _ALLOW))
    return b"".join(code)


def available() -> bool:
    """Say whether this kernel takes filters, on a machine that is supported."""
    if MACHINE not in _AUDIT:
        return False
    try:
        system_call(number_of("seccomp"), _SET_MODE_FILTER, 0, 0)
    except OSError as error:
        return error.errno == errno.EFAULT  # it would have read a filter at address 0
    return False


def enter(code: bytes) -> None:
    """Put the filter ``code`` on the caller and its descendants for good. Needs no_new_privs. OSError."""
    buffer = ctypes.create_string_buffer(code, len(code))
    header = ctypes.create_string_buffer(struct.pack("H6xQ", len(code) // 8, ctypes.addressof(buffer)))
    system_call(number_of("seccomp"), _SET_MODE_FILTER, 0, ctypes.addressof(header))
