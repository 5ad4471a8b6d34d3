"""What a power cut would leave: what was synced, and under names that were."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest


class Disk:
    """Listens to what is synced, in every thread. ``refuses``: errors that the next syncs end with."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.refuses: list[OSError] = []
        self.syncs = 0
        self._sizes: dict[int, int] = {}
        """Of files by inode: how many bytes of their content stay."""
        self._names: set[tuple[int, str, int]] = set()
        """Directory, name, and what it names: these stay."""
        self._sync = {name: getattr(os, name) for name in ("fsync", "fdatasync")}
        patch.setattr(os, "fsync", self._listen)
        patch.setattr(os, "fdatasync", self._listen)

    def _listen(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        names = []
        if stat.S_ISDIR(status.st_mode):
            with os.scandir(descriptor) as entries:
                names = [(status.st_ino, each.name, each.inode()) for each in entries]
        if self.refuses:
            raise self.refuses.pop(0)
        self._sync["fsync"](descriptor)
        # What came meanwhile may stay, too; nobody may count on it.
        self.syncs += 1
        self._sizes[status.st_ino] = max(status.st_size, self._sizes.get(status.st_ino, 0))
        self._names.update(names)

    def has_name(self, path: Path, below: Path) -> bool:
        """Whether a file or directory is found after a power cut, by the names ``below`` that directory."""
        while path != below:
            if (path.parent.stat().st_ino, path.name, path.stat().st_ino) not in self._names:
                return False
            path = path.parent
        return True

    def content(self, path: Path) -> bytes:
        """Return what of a file's content is there after a power cut."""
        return path.read_bytes()[: self._sizes.get(path.stat().st_ino, 0)]

    def has(self, path: Path, below: Path) -> bool:
        """Whether a file is there as it is now."""
        return self.has_name(path, below) and self.content(path) == path.read_bytes()
