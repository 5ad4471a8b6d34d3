"""Descriptors and processes in reserve: a few above the soft limits, which are what user code may use up."""

from __future__ import annotations

import ctypes
import resource
from typing import Any

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.walls.rlimits import RESERVE
from sandbank_runner.walls.system_calls import library_function

seal(globals())

_prlimit: Any = library_function("prlimit")
"""By C, for Python's own tells audit hooks."""
_DESCRIPTORS, _PROCESSES = resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC
_ANY = (1 << 64) - 1


class Limits:
    """The soft limits of one interpreter. It starts with them lifted."""

    __slots__ = ("_pair", "_pointer", "_soft")

    def __init__(self) -> None:
        self._pair = (ctypes.c_uint64 * 2)()
        self._pointer = ctypes.byref(self._pair)
        self._soft = self.lift_processes(_DESCRIPTORS)

    def lower(self) -> None:
        """User code begins: what it has set itself holds, and the runner's descriptors are out of its reach."""
        self._set(_DESCRIPTORS, self._soft)

    def lift(self) -> None:
        """User code has ended: the descriptor of a message may need the room."""
        self._soft = self.lift_processes(_DESCRIPTORS)

    def lift_processes(self, kind: int = _PROCESSES) -> int:
        """Make the soft limit as high as it can be; return what to :meth:`lower_processes` it to."""
        pair = self._pair
        _prlimit(0, kind, None, self._pointer)
        soft, hard = pair
        if soft != hard:
            pair[0] = hard
            _prlimit(0, kind, self._pointer, None)
        return soft if hard == _ANY or hard <= 2 * RESERVE else min(soft, hard - RESERVE)

    def lower_processes(self, soft: int) -> None:
        """Undo :meth:`lift_processes`."""
        self._set(_PROCESSES, soft)

    def _set(self, kind: int, soft: int) -> None:
        pair = self._pair
        _prlimit(0, kind, None, self._pointer)
        if pair[0] != soft:
            pair[0] = soft
            _prlimit(0, kind, self._pointer, None)
