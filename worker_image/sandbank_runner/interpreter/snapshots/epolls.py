"""Epoll instances, made anew after a thaw: the old ones know the descriptors as they were before.

Whose they are, asyncio's or another library's, makes no difference.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from typing import Any, ClassVar

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.snapshots.descriptors import Epoll
from sandbank_runner.walls.system_calls import MACHINE, library_function

seal(globals())

_dup2, _close = os.dup2, os.close
_create: Any = library_function("epoll_create1")
_control: Any = library_function("epoll_ctl")
_reference = ctypes.byref
_CLOSE_ON_EXEC = os.O_CLOEXEC
_ADD = 1


class _Event(ctypes.Structure):
    _pack_ = 1 if MACHINE == "x86_64" else 8
    _fields_: ClassVar = [("events", ctypes.c_uint32), ("data", ctypes.c_uint64)]


def rebuild(epolls: Iterable[Epoll]) -> None:
    """Put a new instance with the same registrations in the place of each."""
    for epoll in epolls:
        made = _create(_CLOSE_ON_EXEC)
        if made < 0:
            continue
        for descriptor, events, data in epoll.registered:
            _control(made, _ADD, descriptor, _reference(_Event(events, data)))
        _dup2(made, epoll.descriptor, epoll.inheritable)
        _close(made)
