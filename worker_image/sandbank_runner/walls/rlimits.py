"""Resource limits of user code."""

from __future__ import annotations

import resource


def apply(*, processes: int | None, open_files: int) -> None:
    """Set the limits of the calling process and all that it starts, soft and hard.

    ``processes`` counts threads and processes of the real uid, in every sandbox that shares it; None leaves
    it. No core dumps: they would carry the memory of the template into the workspace. A limit that is lower
    already stays.
    """
    if processes is not None:
        _lower(resource.RLIMIT_NPROC, processes)
    _lower(resource.RLIMIT_NOFILE, open_files)
    _lower(resource.RLIMIT_CORE, 0)


def _lower(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))
