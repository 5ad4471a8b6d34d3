"""What a restore leaves in the workspace that was broken off: its files, laid ready, and those that it had moved away.

A candidate lays files in a directory of its own, ``LAID`` and some letters: in ``new`` what comes, in ``old`` what was
moved away so far. Once all of that is out, ``old`` is called ``kept``, and what is beside the directory is the new.
"""

from __future__ import annotations

import os
from typing import Final

from sandbank_runner.files.removal import remove_tree
from sandbank_runner.files.workspace import Workspace

LAID: Final = ".sandbank-restore-"
NEW: Final = "new"
OLD: Final = "old"
KEPT: Final = "kept"

_READ_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def undo_restores(workspace: Workspace) -> None:
    """Put back what restores had moved away whose process died, and remove what they had laid ready. Raises OSError."""
    workspace.open_up()
    top = os.open(b".", _READ_DIRECTORY, dir_fd=workspace.descriptor)
    try:
        for name in _laid(top):
            _undo(top, name)
    finally:
        os.close(top)


def _laid(top: int) -> list[bytes]:
    return [name for name in map(os.fsencode, os.listdir(top)) if name.startswith(LAID.encode())]


def _undo(top: int, name: bytes) -> None:
    home = os.open(name, _READ_DIRECTORY, dir_fd=top)
    try:
        there = set(os.listdir(home))
        if KEPT in there:
            laid = set(_laid(top))
            for entry in map(os.fsencode, os.listdir(top)):
                if entry not in laid:
                    os.rename(entry, NEW.encode() + b"/" + entry, src_dir_fd=top, dst_dir_fd=home)
        for away in (KEPT, OLD):
            if away in there:
                _move_all(home, away, top)
    finally:
        os.close(home)
    remove_tree(top, name)


def _move_all(home: int, away: str, top: int) -> None:
    source = os.open(away, _READ_DIRECTORY, dir_fd=home)
    try:
        for entry in os.listdir(source):
            os.rename(entry, entry, src_dir_fd=source, dst_dir_fd=top)
    finally:
        os.close(source)
