"""What is different between two indexes of a workspace. Lives beside user code too: see ``index.py``."""

from __future__ import annotations

import builtins
import os
from typing import Final

from sandbank_runner.files.index import Index, Signature

globals()["__builtins__"] = dict(vars(builtins))

ADDED: Final = 1
MODIFIED: Final = 2
REMOVED: Final = 3
MODE_CHANGED: Final = 4
Change = tuple[str, int]
"""Path relative to the workspace, as the file system encoding gives it, and what happened to it."""

_KIND: Final = 0o170000
_fsencode = os.fsencode


def changes(before: Index, after: Index) -> list[Change]:
    """Return what is different, sorted by path. What one of the two could not read is left out."""
    found: list[Change] = []
    olds, news = before.directories, after.directories
    hidden = before.closed | after.closed
    whole = not (before.truncated or after.truncated)
    for path, new in news.items():
        old = olds.get(path)
        if old is not None:
            if old != new and path not in hidden:
                _compare(path, old, new, found)
        elif whole and not _below(path, hidden):
            found += [(path + name, ADDED) for name in new]
    for path, old in olds.items():
        if path not in news and whole and not _below(path, hidden):
            found += [(path + name, REMOVED) for name in old]
    for path, was in before.young.items():
        if after.again.get(path, was) != was:
            found.append((path, MODIFIED))
    found.sort()
    return found


def _compare(path: str, old: dict[str, Signature], new: dict[str, Signature], found: list[Change]) -> None:
    for name, signature in new.items():
        earlier = old.get(name)
        if earlier is None:
            found.append((path + name, ADDED))
        elif earlier != signature:
            kind = _kind_of_change(earlier, signature)
            if kind:
                found.append((path + name, kind))
    found += [(path + name, REMOVED) for name in old if name not in new]


def _kind_of_change(old: Signature, new: Signature) -> int:
    """Return 0 where only times or names of directories are different, or a file has got one more name."""
    if (old[0] ^ new[0]) & _KIND or old[2:4] != new[2:4] or (old[1] != new[1] and new[4]):
        return MODIFIED
    if old[0] != new[0]:
        return MODE_CHANGED
    return MODIFIED if old[4] != new[4] and old[5] == new[5] else 0


def _below(path: str, closed: set[str]) -> bool:
    return bool(closed) and any(path.startswith(directory) for directory in closed)


def shown(path: str) -> str:
    """Return a path as it is told: bytes that are not UTF-8 backslash-escaped."""
    return path if path.isascii() else _fsencode(path).decode("utf-8", "backslashreplace")
