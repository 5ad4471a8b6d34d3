"""Single steps of bringing a workspace back: each on one path, none of them through a link."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

from sandbank_runner.files.base import Kept, signature_of
from sandbank_runner.files.copies import Copies
from sandbank_runner.files.look import Directory, change_mode, open_up, parts_of
from sandbank_runner.files.workspace import Workspace

_NEW = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


class Places:
    """The workspace, to change it. Everything raises OSError."""

    def __init__(self, workspace: Workspace, copies: Copies) -> None:
        self.written_bytes = 0
        """Of contents, so far."""
        self._workspace = workspace
        self._copies = copies

    @contextlib.contextmanager
    def parent(self, path: str) -> Iterator[tuple[int, bytes]]:
        """Give the descriptor of the directory that ``path`` is in, and its name there."""
        parts = parts_of(path)
        descriptor = self.directory("/".join(path.rstrip("/").split("/")[:-1]))
        try:
            yield descriptor, parts[-1]
        finally:
            os.close(descriptor)

    def directory(self, path: str) -> int:
        """Open a directory for calls relative to it."""
        return self._workspace.open(parts_of(path), os.O_PATH | os.O_DIRECTORY, links=False)

    def make_directory(self, path: str) -> None:
        """Make it, with all rights for its owner only."""
        with self.parent(path) as (parent, name):
            os.mkdir(name, 0o700, dir_fd=parent)

    def link(self, source: str, path: str) -> None:
        """Give a file one more name."""
        with self.parent(source) as (from_, old), self.parent(path) as (parent, name):
            os.link(old, name, src_dir_fd=from_, dst_dir_fd=parent, follow_symlinks=False)

    def create(self, path: str, kept: Kept) -> None:
        """Make a file, link, fifo or socket anew."""
        with self.parent(path) as (parent, name):
            if kept.copy is not None:
                self._fill(os.open(name, _NEW, 0o600, dir_fd=parent), kept)
                return
            if stat.S_ISLNK(kept.signature[0]):
                os.symlink(kept.target, name, dir_fd=parent)
            else:
                os.mknod(name, kept.kind | 0o600, dir_fd=parent)
        self.dress(path, kept)

    def repair(self, path: str, kept: Kept) -> None:
        """Make of a file that exists what it was: content, mode and time."""
        if stat.S_ISLNK(kept.signature[0]):
            with self.parent(path) as (parent, name):
                if os.readlink(name, dir_fd=parent) != kept.target:  # another one that has got its inode
                    os.unlink(name, dir_fd=parent)
                    os.symlink(kept.target, name, dir_fd=parent)
        if kept.copy is None:
            self.dress(path, kept)
            return
        try:
            descriptor = self._workspace.open(parts_of(path), os.O_RDWR | os.O_NOFOLLOW, links=False)
        except PermissionError:
            open_up(self._workspace, path)
            descriptor = self._workspace.open(parts_of(path), os.O_RDWR | os.O_NOFOLLOW, links=False)
        self._fill(descriptor, kept)

    def _fill(self, descriptor: int, kept: Kept) -> None:
        """Write, and close the descriptor."""
        try:
            assert kept.copy is not None
            self.written_bytes += self._copies.write(kept.copy, descriptor)
            status = os.fstat(descriptor)
            if status.st_mode != kept.signature[0]:
                os.fchmod(descriptor, stat.S_IMODE(kept.signature[0]))
            if status.st_mtime_ns != kept.signature[3]:
                os.utime(descriptor, ns=(status.st_atime_ns, kept.signature[3]))
            # Another change may come within the same tick of the clock: the content has the say next time.
            kept.signature, kept.sure = signature_of(descriptor), False
        finally:
            os.close(descriptor)

    def dress(self, path: str, kept: Kept) -> None:
        """Set mode and time of something without content, or take note of times of something with it."""
        descriptor = self._workspace.open(parts_of(path), os.O_PATH | os.O_NOFOLLOW, links=False)
        try:
            status = os.fstat(descriptor)
            if kept.copy is None:
                if not stat.S_ISLNK(status.st_mode) and status.st_mode != kept.signature[0]:
                    change_mode(descriptor, stat.S_IMODE(kept.signature[0]))
                if status.st_mtime_ns != kept.signature[3]:
                    with self.parent(path) as (parent, name):
                        times = (status.st_atime_ns, kept.signature[3])
                        os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)
            kept.signature, kept.sure = signature_of(descriptor), False
        finally:
            os.close(descriptor)

    def dress_directory(self, path: str, wanted: Directory) -> None:
        """Set mode and time of a directory."""
        descriptor = self.directory(path)
        try:
            status = os.fstat(descriptor)
            if stat.S_IMODE(status.st_mode) != wanted.mode:
                change_mode(descriptor, wanted.mode)
            if status.st_mtime_ns != wanted.modified_ns:
                os.utime(f"/proc/self/fd/{descriptor}", ns=(status.st_atime_ns, wanted.modified_ns))
            wanted.inode = status.st_ino
        finally:
            os.close(descriptor)
