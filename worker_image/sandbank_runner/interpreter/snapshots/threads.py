"""Threads beside the main one: a fork copies none of them, so while one is there, there is no snapshot."""

from __future__ import annotations

import threading
import time

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.snapshots import pools
from sandbank_runner.interpreter.snapshots.kernel import contents, numbers_in

seal(globals())

_sleep = time.sleep
_active: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined]  # noqa: SLF001
_main = threading.main_thread()
_PAUSE_SECONDS = 0.0002
_TRIES = 50
_NAMES = 100
_NAME_LENGTH = 200


class Threads:
    """Sees to it that there is one thread only, or tells which others there are."""

    __slots__ = ("_staying",)

    def __init__(self) -> None:
        self._staying: frozenset[int] = frozenset()
        """Those that waiting has not helped with."""

    def others(self) -> list[str]:
        """Return the names of the other threads, none where there is none any more.

        Idle threads of known pools are sent home, to be started anew with the pool's next task. Some are on their way:
        one that has ended for Python is there for a moment longer, one of a pool that has given its result is not idle
        yet. For these, and for those that Python does not list, this waits, 10 ms at most and once.
        """
        if _count() == 1:
            return []
        for _ in range(_TRIES):
            pools.send_idle_home()
            ids = _ids()
            if len(ids) == 1:
                return []
            others, workers = _known()
            if others or (not workers and ids <= self._staying):
                break
            _sleep(_PAUSE_SECONDS)
        self._staying = frozenset(ids)
        return _names(ids)


def _count() -> int:
    return int(contents(b"/proc/self/stat").rsplit(b")", 1)[1].split()[17])


def _ids() -> frozenset[int]:
    return frozenset(numbers_in(b"/proc/self/task"))


def _known() -> tuple[int, int]:
    """Return how many threads beside the main one Python knows of: those of no pool, and those of pools."""
    threads = list(_active.values())
    workers = sum(map(pools.is_worker, threads))
    return len(threads) - workers - 1, workers


def _names(ids: frozenset[int]) -> list[str]:
    """Name threads as Python does, others as the kernel does."""
    known = {}
    for thread in list(_active.values()):
        values = vars(thread)
        name = values.get("_name")
        if type(name) is str:
            known[values.get("_native_id")] = name
    main = known.pop(vars(_main).get("_native_id"), None)
    names = []
    for number in sorted(ids):
        if number in known:
            names.append(known[number][:_NAME_LENGTH])
        elif number != min(ids) or main is None:
            names.append(_kernel_name(number))
    return names[:_NAMES]


def _kernel_name(number: int) -> str:
    try:
        name = contents(b"/proc/self/task/%d/comm" % number).decode("utf-8", "backslashreplace").strip()
    except OSError:
        name = "ended"
    return f"thread {number} ({name})"
