"""A workspace for keepers, and all there is to know of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

LIMIT = 1 << 30
FILES = {"a": b"one", "b": b"two" * 4000, "d/c": b"three", "d/e/f": b"", "d/e/g": os.urandom(300_000)}


def state(workspace: Path) -> dict[str, tuple[object, ...]]:
    """Return all there is to know of a workspace, files with several names by the first of them."""
    found: dict[str, tuple[object, ...]] = {}
    first: dict[int, str] = {}
    paths = [workspace, *sorted(workspace.rglob("*"))]
    for path in paths:
        status = path.lstat()
        name = str(path.relative_to(workspace))
        content: object = None
        if stat.S_ISREG(status.st_mode):
            content = (path.read_bytes(), first.setdefault(status.st_ino, name))
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        found[name] = (status.st_mode, status.st_mtime_ns, content)
    return found


def inodes(workspace: Path) -> dict[str, int]:
    """Return the inode of each path."""
    return {str(path): path.lstat().st_ino for path in workspace.rglob("*")}
