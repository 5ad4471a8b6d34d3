"""Signal masks as the C functions take them: the wrappers of :mod:`signal` make an enum of every number."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
from collections.abc import Callable, Iterable
from typing import Any

from sandbank_runner.interpreter.sealed import seal

seal(globals())

SIGINT: int = int(_signal.SIGINT)
SIGCHLD: int = int(_signal.SIGCHLD)
SIG_BLOCK: int = _signal.SIG_BLOCK
SIG_SETMASK: int = _signal.SIG_SETMASK

_FAULTS = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGABRT", "SIGSYS")
_NEVER = ("SIGKILL", "SIGSTOP")

EVERY: frozenset[int] = frozenset(_signal.valid_signals()) - {
    int(getattr(_signal, name)) for name in (*_FAULTS, *_NEVER)
}
"""All that can be held back; a fault is not, it would end the process all the same and without its own signal."""

sigmask: Callable[[int, Iterable[int]], set[int]] = _signal.pthread_sigmask
sigtimedwait: Callable[[Iterable[int], float], Any] = _signal.sigtimedwait
sigpending: Callable[[], set[int]] = _signal.sigpending
getsignal: Callable[[int], Any] = _signal.getsignal
setsignal: Callable[[int, Any], Any] = _signal.signal
