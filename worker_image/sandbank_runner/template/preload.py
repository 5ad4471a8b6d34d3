"""Importing the template's modules before any fork, and making what imports leave small and cheap to share."""

from __future__ import annotations

import ctypes
import gc
import importlib
import sys
import time
from collections.abc import Iterable

from sandbank_runner.walls.clone import thread_count


def preload(modules: Iterable[str]) -> tuple[dict[str, str], float]:
    """Import ``modules`` in order. Return (module: message for each that failed, milliseconds).

    A module that leaves a thread running counts as failed: a process with two threads cannot be forked
    soundly.
    """
    failed: dict[str, str] = {}
    start = time.perf_counter()
    for name in modules:
        try:
            importlib.import_module(name)
        except BaseException as error:
            failed[name] = f"{type(error).__name__}: {error}"[:1000]
            continue
        threads = thread_count()
        if threads > 1:
            failed[name] = f"leaves {threads - 1} threads running, and the template must have none"
            break
    return failed, (time.perf_counter() - start) * 1000


def forget_origin() -> None:
    """Leave no trace of the template's own start in what user code sees.

    ``__main__`` must not lead back to the template's file, or multiprocessing's spawn would start a template;
    and the directory that ``-m`` puts first on the path is the container's root, not the user's.
    """
    main = sys.modules["__main__"].__dict__
    main.pop("__file__", None)
    main["__spec__"] = None
    sys.argv[:] = [""]
    if sys.path and sys.path[0] in ("", "/"):
        del sys.path[0]


def freeze() -> None:
    """Collect what imports left behind, give its memory back and take the rest out of the collector's sight.

    Once, when all is imported, never in a fork: a collection there would write to every page that it looks at, and
    unshare it. From here on it collects by itself.
    """
    gc.collect()
    gc.freeze()
    gc.enable()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)
