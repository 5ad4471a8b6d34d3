"""Removing a tree that hostile code has built."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress


def remove_tree(path: str) -> bool:
    """Remove a directory with all that is in it; return False when something could not be removed.

    Links are removed, never followed. Depth costs neither recursion nor descriptors nor long paths: a
    directory below the top is moved up to the top before it is looked into. Permissions that the owner took
    from itself are given back. Nobody may change the tree meanwhile.
    """
    try:
        found = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        itself = f"/proc/self/fd/{found}"
        with suppress(OSError):
            os.chmod(itself, 0o700)
            top = os.open(itself, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                _empty(top)
            finally:
                os.close(top)
    finally:
        os.close(found)
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _empty(top: int) -> None:
    """Empty the directory of descriptor ``top`` as far as it can be."""
    hopeless: set[str] = set()
    while waiting := set(_names(top)) - hopeless:
        for name in waiting:
            if not _remove(top, name):
                hopeless.add(name)


def _remove(top: int, name: str) -> bool:
    """Remove an entry of ``top``; a directory's own directories become entries of ``top``."""
    with suppress(OSError):
        os.unlink(name, dir_fd=top)
        return True
    with suppress(OSError):
        os.chmod(name, 0o700, dir_fd=top)  # follows links, but a link was unlinked above
    try:
        inside = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
    except OSError:
        return False
    try:
        for entry in _names(inside):
            try:
                os.unlink(entry, dir_fd=inside)
            except OSError:
                with suppress(OSError):
                    # Its permissions may forbid to give it another parent.
                    os.chmod(entry, 0o700, dir_fd=inside)
                with suppress(OSError):
                    # A name that nobody can have put there before.
                    os.rename(entry, secrets.token_hex(16), src_dir_fd=inside, dst_dir_fd=top)
    finally:
        os.close(inside)
    with suppress(OSError):
        os.rmdir(name, dir_fd=top)
        return True
    return False


def _names(descriptor: int) -> list[str]:
    try:
        return os.listdir(descriptor)
    except OSError:
        return []
