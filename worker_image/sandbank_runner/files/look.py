"""What lies in the workspace, as the keeper sees it: with its directories' own times, and what its owner has closed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbank_runner.files.index import Index, walk
from sandbank_runner.files.workspace import Workspace

_TO_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@dataclass(slots=True)
class Directory:
    """A directory: what there is to bring back of it besides its entries."""

    mode: int
    inode: int
    modified_ns: int


@dataclass(slots=True)
class Look:
    """The workspace at one moment."""

    index: Index
    directories: dict[str, Directory]
    """By path, as in the index."""
    opened: dict[str, int] = field(default_factory=dict)
    """Modes of directories that their owner has closed to himself, and that are open now."""


def parts_of(path: str) -> list[bytes]:
    """Return the names that a path of an index is made of."""
    return [os.fsencode(name) for name in path.split("/") if name]


def look(workspace: Workspace, limit: int, each: Callable[[int], None] | None = None) -> Look:
    """Look at everything; directories that are closed are opened up. Raises OSError where the top cannot be read.

    ``each`` gets the descriptor of every directory before it is listed.
    """
    opened: dict[str, int] = {}
    tried: set[str] = set()
    while True:
        directories: dict[str, Directory] = {}

        def open_directory(path: str, into: dict[str, Directory] = directories) -> int:
            descriptor = workspace.open(parts_of(path), _TO_LIST, links=False)
            status = os.fstat(descriptor)
            into[path] = Directory(stat.S_IMODE(status.st_mode), status.st_ino, status.st_mtime_ns)
            if each is not None:
                each(descriptor)
            return descriptor

        index = Index()
        try:
            index = walk(open_directory, limit)
        except PermissionError:
            index.closed.add("")
        closed = index.closed - tried
        if not closed:
            break
        tried |= closed
        for path in sorted(closed):
            mode = open_up(workspace, path)
            if mode is not None:
                opened[path] = mode
    for path, mode in opened.items():
        if path in directories:
            directories[path].mode = mode
    return Look(index, directories, opened)


def open_up(workspace: Workspace, path: str) -> int | None:
    """Give the owner all rights to a file or directory; return the mode it had. None where it cannot be reached."""
    if not path:
        mode = stat.S_IMODE(os.fstat(workspace.descriptor).st_mode)
        change_mode(workspace.descriptor, mode | 0o700)
        return mode
    try:
        descriptor = workspace.open(parts_of(path), os.O_PATH | os.O_NOFOLLOW, links=False)
    except OSError:
        return None
    try:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        change_mode(descriptor, mode | 0o700)
    except OSError:
        return None
    else:
        return mode
    finally:
        os.close(descriptor)


def change_mode(descriptor: int, mode: int) -> None:
    """Change the mode of what a descriptor names that is no more than that (O_PATH). Raises OSError."""
    os.chmod(f"/proc/self/fd/{descriptor}", mode)


def close_again(workspace: Workspace, look: Look) -> None:
    """Give directories the modes back that they had before they were opened up."""
    for path in sorted(look.opened, reverse=True):  # what is below a directory first
        try:
            descriptor = workspace.open(parts_of(path), os.O_PATH | os.O_NOFOLLOW, links=False)
        except OSError:
            continue  # gone meanwhile
        try:
            change_mode(descriptor, look.opened[path])
        finally:
            os.close(descriptor)
