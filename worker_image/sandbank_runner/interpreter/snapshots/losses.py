"""What a snapshot does not cover, told when one has been woken: only what was there, and nothing in a plain session."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.snapshots.descriptors import Stream
from sandbank_runner.interpreter.snapshots.kernel import contents

seal(globals())

_getpid = os.getpid
_NAMES = 100
_NAME_LENGTH = 500
_MAPPING_FIELDS = 6

_MESSAGES = {
    "streams": "pipes, sockets and terminals that were open are at their end after a rollback",
    "memory": "shared memory is not rolled back",
    "children": "processes that were started before are no longer children after a rollback",
    "locks": "fcntl locks are gone after a rollback",
    "timers": "timers and counters of the kernel are not rolled back",
}


def warning(kind: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the warning about one kind of thing; none where there is none of it."""
    if not names:
        return []
    shown = [
        name.encode("utf-8", "backslashreplace").decode("utf-8")[:_NAME_LENGTH] for name in names[:_NAMES]
    ]
    return [{"code": "NOT_COVERED", "message": _MESSAGES[kind], "names": shown}]


def names_of_streams(streams: Iterable[Stream]) -> list[str]:
    """Name pipes, sockets and terminals; two descriptors of the same one once."""
    seen: dict[tuple[int, int], str] = {}
    for stream in streams:
        seen.setdefault(stream.identity, f"descriptor {stream.descriptor} ({stream.kind})")
    return list(seen.values())


def children(but: set[int]) -> list[str]:
    """Name the living and dead children of this process, but for some."""
    pid = _getpid()
    try:
        pids = contents(b"/proc/%d/task/%d/children" % (pid, pid)).split()
    except OSError:  # a kernel that does not tell
        return []
    return [f"process {int(child)}" for child in pids if int(child) not in but]


def shared_memory() -> list[str]:
    """Name what is mapped shared and can be written, once each."""
    names: dict[str, None] = {}
    for line in contents(b"/proc/self/maps").splitlines():
        rights = line.split(b" ", 2)[1]
        if rights[3:4] == b"s" and rights[1:2] == b"w":
            parts = line.split(None, _MAPPING_FIELDS - 1)
            path = parts[5].decode("utf-8", "surrogateescape") if len(parts) == _MAPPING_FIELDS else ""
            names[path.removesuffix(" (deleted)") or "anonymous memory"] = None
    return ["anonymous memory" if name == "/dev/zero" else name for name in names]
