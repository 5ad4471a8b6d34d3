"""Resource limits of user code."""

from __future__ import annotations

import resource

RESERVE = 4
"""Descriptors and processes between soft and hard limit: user code at its limit leaves room for a snapshot."""


def apply(*, processes: int | None, open_files: int) -> None:
    """Set the limits of the calling process and all that it starts: soft as given, hard a few above it.

    ``processes`` counts threads and processes of the real uid, in every sandbox that shares it; None leaves
    it. No core dumps: they would carry the memory of the template into the workspace. A limit that is lower
    already stays.
    """
    if processes is not None:
        _lower(resource.RLIMIT_NPROC, processes, RESERVE)
    _lower(resource.RLIMIT_NOFILE, open_files, RESERVE)
    _lower(resource.RLIMIT_CORE, 0, 0)


def _lower(kind: int, soft: int, reserve: int) -> None:
    hard = resource.getrlimit(kind)[1]
    highest = soft + reserve if hard == resource.RLIM_INFINITY else min(soft + reserve, hard)
    resource.setrlimit(kind, (min(soft, max(highest - reserve, 1)), highest))
