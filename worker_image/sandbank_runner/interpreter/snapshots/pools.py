"""Pools of threads whose idle ones can be sent home: ``concurrent.futures``, asyncio's default executor too, and tqdm.

Nothing is lost by it: the next task starts a thread anew, as the first one did. What is private to such a thread goes
with it; which thread runs a task was never promised. Everything here is the standard library's own state, which user
code may have changed: what is not as expected is left alone.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from typing import Any

from sandbank_runner.interpreter.sealed import seal

seal(globals())

_modules = sys.modules
_active: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined]  # noqa: SLF001
_Semaphore = threading.Semaphore
_join = threading.Thread.join
_current_frames = sys._current_frames  # noqa: SLF001
_PATIENCE_SECONDS = 0.1


def send_idle_home() -> None:
    """End the threads of pools that have nothing to do, and wait until they are gone. Does not raise."""
    try:
        for executor in _executors():
            _send_home(executor)
    except Exception:  # noqa: S110 - not the standard library's any more: its threads are named instead
        pass
    try:
        monitor = getattr(getattr(_modules.get("tqdm.std"), "tqdm", None), "monitor", None)
        if monitor is not None:
            monitor.exit()  # the next progress bar starts another
    except Exception:  # noqa: S110
        pass


def is_worker(thread: threading.Thread) -> bool:
    """Tell whether a thread works for a pool of ``concurrent.futures``."""
    worker = getattr(_modules.get("concurrent.futures.thread"), "_worker", None)
    return worker is not None and vars(thread).get("_target") is worker


def _executors() -> list[Any]:
    """Return the pools that living threads work for; a thread knows its own by a weak reference."""
    found: dict[int, Any] = {}
    for thread in list(_active.values()):
        if is_worker(thread):
            executor = vars(thread)["_args"][0]()
            if executor is not None:
                found[id(executor)] = executor
    return list(found.values())


def _wait(threads: Iterable[threading.Thread]) -> bool:
    """Tell whether all of a pool's threads wait for a task: none has one, and none is in a call of its own."""
    frames = _current_frames()
    worker = _modules["concurrent.futures.thread"]._worker.__code__  # noqa: SLF001
    for thread in threads:
        frame = frames.get(vars(thread)["_ident"])
        if frame is None or frame.f_code is not worker or frame.f_locals.get("work_item") is not None:
            return False
    return True


def _send_home(executor: Any) -> None:
    state = vars(executor)
    threads, tasks, idle = state["_threads"], state["_work_queue"], state["_idle_semaphore"]
    if state["_shutdown"] or type(idle) is not _Semaphore or tasks.qsize():
        return
    # The pool counts its idle threads too low where one at work was quicker than the idle one that it had counted on.
    if vars(idle)["_value"] < len(threads) and not _wait(threads):
        return
    state["_shutdown"] = True
    try:
        tasks.put(None)  # each that goes hands it on
        for thread in list(threads):
            _join(thread, _PATIENCE_SECONDS)
            if thread.is_alive():
                return
        while tasks.qsize():
            tasks.get_nowait()
        threads.clear()
        state["_idle_semaphore"] = _Semaphore(0)
    finally:
        state["_shutdown"] = False
