"""A base: the workspace at one moment, with copies of all files. What an earlier base has is not copied again."""

from __future__ import annotations

import errno
import os
import stat
import time
from dataclasses import dataclass, field
from typing import Final

from sandbank_runner.files.copies import Copies, Copy, NoRoom
from sandbank_runner.files.index import ENTRIES, Signature
from sandbank_runner.files.look import Directory, close_again, look, open_up, parts_of
from sandbank_runner.files.openings import Openings, Suspects
from sandbank_runner.files.workspace import Workspace

_COARSE_CLOCK: Final = 5  # CLOCK_REALTIME_COARSE: what file systems stamp with
_TRIES: Final = 3
_EXCHANGED = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO))
"""What is no longer what it was: a process of the user's is at work."""
_TO_READ = os.O_RDONLY | os.O_NOFOLLOW


class TooLarge(Exception):
    """The workspace cannot be kept as a whole, so nothing of it was. The text is for the user."""


@dataclass(slots=True, eq=False)
class Kept:
    """One file or link. Its names in a base share it, and so do bases between which it did not change."""

    signature: Signature
    """As it was last seen with this content."""
    sure: bool
    """Another content has another signature. Not so while the clock of files has not moved on since."""
    copy: Copy | None = None
    """Of a regular file."""
    target: bytes = b""
    """Of a link."""

    @property
    def kind(self) -> int:
        """The type bits of its mode."""
        return stat.S_IFMT(self.signature[0])


@dataclass(slots=True)
class Base:
    """The workspace as it was. Paths as in an index, those of directories with their slash."""

    directories: dict[str, Directory]
    files: dict[str, Kept]
    suspects: Suspects = field(default_factory=Suspects)
    """Files that may have been written since without a sign."""

    def release(self, copies: Copies) -> None:
        """Let go of everything."""
        for kept in self.kept():
            if kept.copy is not None:
                copies.release(kept.copy)
        self.files.clear()

    def kept(self) -> set[Kept]:
        """Return each file once, however many names it has."""
        return set(self.files.values())


class Taking:
    """Takes one base. ``earlier`` is what is known already, if anything."""

    def __init__(
        self, workspace: Workspace, copies: Copies, earlier: Base | None, openings: Openings
    ) -> None:
        self._workspace = workspace
        self._copies = copies
        self._openings = openings
        self._suspects = earlier.suspects if earlier else Suspects()
        self._known = {kept.signature[1]: kept for kept in earlier.kept()} if earlier else {}
        self._taken: dict[int, Kept] = {}
        self.touched = False
        """Modes were changed and changed back, which shows in times."""

    def take(self) -> Base:
        """Take it. Raises :class:`TooLarge`, OSError; nothing is held then."""
        seen = look(self._workspace, ENTRIES, self._openings.watch)
        self.touched = bool(seen.opened)
        base = Base(seen.directories, {})
        try:
            if seen.index.truncated:
                raise TooLarge(f"the workspace has more than {ENTRIES} files")
            if seen.index.closed:
                raise TooLarge("the workspace has files deeper than a path can reach")
            for path, entries in seen.index.directories.items():
                for name, signature in entries.items():
                    if not stat.S_ISDIR(signature[0]):
                        self._add(base, path + name, signature, path + name not in seen.index.young)
        except NoRoom:
            base.release(self._copies)
            raise TooLarge(
                f"the files of the workspace are larger than the {self._copies.limit} bytes that can be kept of them"
            ) from None
        except BaseException:
            base.release(self._copies)
            raise
        finally:
            close_again(self._workspace, seen)
        return base

    def _add(self, base: Base, path: str, signature: Signature, sure: bool) -> None:
        kept = self._taken.get(signature[1])
        if kept is None or kept.kind != stat.S_IFMT(signature[0]):
            kept = self._keep(path, signature, sure)
            if kept is None:
                return  # gone meanwhile
            self._taken[signature[1]] = kept
        base.files[path] = kept

    def _keep(self, path: str, signature: Signature, sure: bool) -> Kept | None:
        known = self._known.get(signature[1])
        if known is not None and known.kind != stat.S_IFMT(signature[0]):
            known = None
        if known is not None and known.sure and known.signature == signature and not self._suspects.has(path):
            return self._share(known)
        try:
            if stat.S_ISLNK(signature[0]):
                return Kept(signature, sure, target=self._read_link(path))
            if stat.S_ISREG(signature[0]):
                return self._keep_content(path, known)
        except OSError as error:
            if error.errno not in _EXCHANGED:
                raise
            return None
        return Kept(signature, sure)

    def _share(self, known: Kept) -> Kept:
        if known.copy is not None:
            self._copies.hold(known.copy)
        return known

    def _keep_content(self, path: str, known: Kept | None) -> Kept | None:
        for tries in range(_TRIES):
            now = time.clock_gettime_ns(_COARSE_CLOCK)
            descriptor = self._open(path)
            try:
                before = signature_of(descriptor)
                if not stat.S_ISREG(before[0]):
                    return None  # exchanged meanwhile
                copy = self._copy(descriptor, known)
                after = signature_of(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
            if before == after or tries == _TRIES - 1:
                break
            self._copies.release(copy)  # a process of the user's is just writing it
        sure = before == after and after[4] < now
        if known is not None and known.copy is copy and known.signature == after:
            known.sure = sure
            return known
        return Kept(after, sure, copy)

    def _copy(self, descriptor: int, known: Kept | None) -> Copy:
        if known is not None and known.copy is not None and self._copies.same(known.copy, descriptor):
            return self._copies.hold(known.copy)
        return self._copies.add(descriptor)

    def _open(self, path: str) -> int:
        """Open a file to read it; where its owner has closed it to himself, it is opened up for the moment."""
        parts = parts_of(path)
        try:
            return self._workspace.open(parts, _TO_READ, links=False)
        except PermissionError:
            mode = open_up(self._workspace, path)
            if mode is None:
                raise
            self.touched = True
            descriptor = self._workspace.open(parts, _TO_READ, links=False)
            os.fchmod(descriptor, mode)
            return descriptor

    def _read_link(self, path: str) -> bytes:
        descriptor = self._workspace.open(parts_of(path), os.O_PATH | os.O_NOFOLLOW, links=False)
        try:
            return os.readlink(b"", dir_fd=descriptor)
        finally:
            os.close(descriptor)


def signature_of(descriptor: int) -> Signature:
    """Return the signature of what is open, as an index has it of files."""
    status = os.fstat(descriptor)
    return (
        status.st_mode,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_nlink,
    )
