"""The kernel through ctypes: numbered system calls and ``prctl``.

``ctypes.PyDLL`` keeps the interpreter lock during a call. All calls here are short, and one of them is
``clone``: a child that comes out of a call made without the lock would wait for it for ever.
"""

from __future__ import annotations

import ctypes
import os

MACHINE = os.uname().machine
"""``x86_64`` and ``aarch64`` are supported; elsewhere numbered calls fail with ENOSYS."""

_LIBRARY = ctypes.PyDLL(None, use_errno=True)
_syscall = _LIBRARY["syscall"]
_syscall.restype = ctypes.c_long
_syscall.argtypes = [ctypes.c_long] + [ctypes.c_ulong] * 6
_prctl = _LIBRARY["prctl"]
_prctl.restype = ctypes.c_int
_prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4

_ANY_UNSIGNED = 0xFFFF_FFFF_FFFF_FFFF


_get_errno, _strerror = ctypes.get_errno, os.strerror  # what user code may replace later


def failure() -> OSError:
    """Return the error that the last call left in ``errno``."""
    number = _get_errno()
    return OSError(number, _strerror(number))


def system_call(number: int, *arguments: int) -> int:
    """Make system call ``number`` with up to six integers, which may be negative. Raises OSError."""
    padded = [argument & _ANY_UNSIGNED for argument in arguments] + [0] * (6 - len(arguments))
    result: int = _syscall(number, *padded)
    if result == -1:
        raise failure()
    return result


def process_control(option: int, *arguments: int) -> int:
    """Make ``prctl(option, ...)``; unused arguments are zero, as newer options demand. Raises OSError."""
    padded = [argument & _ANY_UNSIGNED for argument in arguments] + [0] * (4 - len(arguments))
    result: int = _prctl(option, *padded)
    if result == -1:
        raise failure()
    return result


def library_function(name: str) -> ctypes._NamedFuncPointer | None:
    """Return a function of the C library, to be called with the interpreter lock held, or None."""
    try:
        return _LIBRARY[name]
    except AttributeError:
        return None
