"""Files that a string may name."""

from __future__ import annotations

import os
from typing import Final

from sandbank_runner.interpreter.sealed import seal

seal(globals())

_ENTRIES: Final = 20_000
"""Entries of one directory that are looked at."""
_scandir, _expanduser = os.scandir, os.path.expanduser


def files_in(directory: str, prefix: str) -> list[str]:
    """Return the names in a directory that begin with ``prefix``; directories end with a slash."""
    found = []
    try:
        with _scandir(_expanduser(directory) or ".") as entries:
            for count, entry in enumerate(entries):
                if count >= _ENTRIES:
                    break
                name = entry.name
                if name.startswith(prefix) and (prefix or name[0] != "."):
                    found.append(f"{name}/" if entry.is_dir() else name)
    except (OSError, ValueError):
        return []
    return sorted(found)
