"""Threads beside the main one: a fork copies none of them, so while one is there, there is no snapshot."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.snapshots import native_threads, pools
from sandbank_runner.interpreter.snapshots.kernel import contents, numbers_in

seal(globals())

_sleep, _getpid = time.sleep, os.getpid
_active: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined]  # noqa: SLF001
_SHORT_PAUSES = 10
_PAUSES_SECONDS = (*[0.0002] * _SHORT_PAUSES, *[0.001] * 50)
"""Before another look. Most often the first is enough; on a busy machine a thread waits long for its last moment."""
_NAMES = 100
_NAME_LENGTH = 200


@dataclass(slots=True)
class Others:
    """What there is beside the main thread."""

    names: list[str] = field(default_factory=list)
    """Of those that stand in the way."""
    waiting: frozenset[int] | None = None
    """Not None: there are idle ones of a library that is made for forks, which read from these descriptors."""


class Threads:
    """Sees to it that there is one thread only, or tells which others there are."""

    __slots__ = ("_staying",)

    def __init__(self) -> None:
        self._staying: frozenset[int] = frozenset()
        """Those that Python does not list, and that waiting has not helped with."""

    def others(self) -> Others:
        """Look at the other threads.

        Idle threads of known pools are sent home, to be started anew with the pool's next task. Some are on their way:
        one that has ended for Python is there for a moment longer, one of a pool that has given its result is not idle
        yet. For these, and for those that Python does not list, this waits, 60 ms at most; 2 ms for the latter where
        that has not helped before.
        """
        if _count() == 1:
            return Others()
        for look, pause in enumerate(_PAUSES_SECONDS):
            pools.send_idle_home()
            ids = _ids()
            if not ids:
                return Others()
            others, workers = _known()
            if not others and not workers:
                waiting = native_threads.idle(ids)
                if waiting is not None:
                    return Others(waiting=waiting)
            if others or (not workers and look >= _SHORT_PAUSES and ids == self._staying):
                break
            _sleep(pause)
        self._staying = ids.difference(map(_number_of, list(_active.values())))
        return Others(_names(ids))


def _count() -> int:
    return int(contents(b"/proc/self/stat").rsplit(b")", 1)[1].split()[17])


def _ids() -> frozenset[int]:
    """Return the kernel's numbers of all threads but the main one."""
    return frozenset(numbers_in(b"/proc/self/task")) - {_getpid()}


def _known() -> tuple[int, int]:
    """Return how many threads beside the main one Python knows of: those of no pool, and those of pools."""
    threads = list(_active.values())
    workers = sum(map(pools.is_worker, threads))
    return len(threads) - workers - 1, workers


def _number_of(thread: threading.Thread) -> object:
    return vars(thread).get("_native_id")


def _names(ids: frozenset[int]) -> list[str]:
    """Name threads as Python does, others as the kernel does."""
    known = {}
    for thread in list(_active.values()):
        name = vars(thread).get("_name")
        if type(name) is str:
            known[_number_of(thread)] = name[:_NAME_LENGTH]
    return [known.get(number) or _kernel_name(number) for number in sorted(ids)[:_NAMES]]


def _kernel_name(number: int) -> str:
    try:
        name = contents(b"/proc/self/task/%d/comm" % number).decode("utf-8", "backslashreplace").strip()
    except OSError:
        name = "ended"
    return f"thread {number} ({name})"
