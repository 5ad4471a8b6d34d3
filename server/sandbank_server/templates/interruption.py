"""Ends a blocking call when its time is up or the build is cancelled."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from sandbank_server.templates.progress import BuildWatch

_POLL_SECONDS = 0.1


@contextlib.contextmanager
def interrupting(watch: BuildWatch, timeout: float, abort: Callable[[], bool]) -> Iterator[threading.Event]:
    """Call ``abort`` from another thread once ``timeout`` seconds are over or the build is cancelled.

    ``abort`` makes the call in the block return or raise, and returns False as long as it cannot yet; it is
    asked again then. Yields an event that is set when the time was up. The thread is gone after the block.
    """
    over = threading.Event()
    late = threading.Event()

    def guard() -> None:
        deadline = time.monotonic() + timeout
        while not over.wait(_POLL_SECONDS):
            if time.monotonic() > deadline:
                late.set()
            if (late.is_set() or watch.cancel.is_set()) and abort():
                return

    guardian = threading.Thread(target=guard, daemon=True, name="build-guard")
    guardian.start()
    try:
        yield late
    finally:
        over.set()
        guardian.join()
