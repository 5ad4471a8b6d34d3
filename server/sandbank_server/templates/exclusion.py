"""Serialises builds of one thing across threads and processes of one machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from sandbank_server.templates.errors import TemplateBuildError
from sandbank_server.templates.progress import BuildPhase, BuildWatch

_POLL_SECONDS = 0.2


@contextlib.contextmanager
def exclusive(path: Path, watch: BuildWatch) -> Iterator[None]:
    """Hold the lock file ``path`` in the block, waiting for it as long as the build is not cancelled.

    The kernel lets go of the lock when its holder dies, so a stale file blocks nobody. The lock belongs to
    the open file, so threads of one process exclude each other, too.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise TemplateBuildError(f"cannot open the lock {path}: {error.strerror}") from error
    try:
        waiting = False
        while not _try_lock(descriptor):
            if not waiting:
                watch.enter(BuildPhase.WAITING)
                waiting = True
            watch.cancel.wait(_POLL_SECONDS)
            watch.check()
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
