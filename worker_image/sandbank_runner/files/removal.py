"""Deleting a file, a link, or a directory with all that is in it."""

from __future__ import annotations

import os
import secrets
import stat

from sandbank_runner.files import paths
from sandbank_runner.files.workspace import Workspace

_DEEPEST = 64
"""Levels held open at once; what lies deeper is moved up first, so that no depth is beyond reach."""

_READ_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def delete(workspace: Workspace, path: str, recursive: bool) -> None:
    """Delete what is at ``path``; a link itself, never what it leads to.

    Raises :class:`FileProblem` BAD_FIELD for the workspace itself, OSError (ENOTEMPTY for a directory with
    something in it where ``recursive`` is not set). A directory that is being filled meanwhile may be left
    half empty.
    """
    parts = paths.split(path)
    parent = workspace.open_directory(parts[:-1])
    try:
        name = parts[-1]
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=parent)
        elif recursive:
            remove_tree(parent, name)
        else:
            os.rmdir(name, dir_fd=parent)
    finally:
        os.close(parent)


def clear(workspace: Workspace) -> None:
    """Delete all that is in the workspace. Raises OSError."""
    workspace.open_up()
    top = os.open(b".", _READ_DIRECTORY, dir_fd=workspace.descriptor)
    try:
        while _empty(top, top, 1):
            pass
    finally:
        os.close(top)


def remove_tree(parent: int, name: bytes) -> None:
    """Delete a directory with all that is in it, however deep. Raises OSError."""
    top = _open_directory(parent, name)
    try:
        while _empty(top, top, 1):
            pass  # something was moved up to the top
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _empty(directory: int, top: int, depth: int) -> bool:
    """Delete all that is in ``directory``; say whether something too deep was moved up into ``top`` instead."""
    moved = False
    with os.scandir(directory) as entries:
        found = [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if not is_directory:
            os.unlink(name, dir_fd=directory)
        elif depth >= _DEEPEST:
            os.rename(
                name, b".deleted-" + secrets.token_hex(8).encode(), src_dir_fd=directory, dst_dir_fd=top
            )
            moved = True
        else:
            below = _open_directory(directory, name)
            try:
                moved |= _empty(below, top, depth + 1)
            finally:
                os.close(below)
            os.rmdir(name, dir_fd=directory)
    return moved


def _open_directory(parent: int, name: bytes) -> int:
    """Open a directory to empty it; one that its owner has closed to itself is opened up first."""
    try:
        descriptor = os.open(name, _READ_DIRECTORY, dir_fd=parent)
    except PermissionError:
        # No-follow by hand: chmod has no such flag. The name may be exchanged for a link, to something of the same
        # user's in the same workspace: Landlock and permissions end there.
        os.chmod(name, 0o700, dir_fd=parent)
        return os.open(name, _READ_DIRECTORY, dir_fd=parent)
    if os.fstat(descriptor).st_mode & 0o700 != 0o700:
        os.fchmod(descriptor, 0o700)
    return descriptor
