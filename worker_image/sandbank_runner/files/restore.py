"""Bringing the workspace back to a base, changing no more than is different.

A file that still exists is the same file afterwards, wherever it was moved to: whoever has it open goes on with it.
Nobody else is at work meanwhile: user code is dead or asleep.

First everything is found out that lies where it belongs. What does not is put into a drawer, if it belongs elsewhere,
or deleted. Then the base is gone through, and what is missing is taken from the drawer or made anew.
"""

from __future__ import annotations

import os
import secrets
import stat

from sandbank_runner.files.base import Base, Kept
from sandbank_runner.files.copies import Copies
from sandbank_runner.files.index import Signature
from sandbank_runner.files.look import Look, look, open_up
from sandbank_runner.files.placing import Places
from sandbank_runner.files.removal import remove_tree
from sandbank_runner.files.workspace import Workspace

_ALL_RIGHTS = 0o700
_ANY_NUMBER = 2**62


class Restoring:
    """Brings back one base. :meth:`run` does it, once."""

    def __init__(self, workspace: Workspace, copies: Copies, base: Base) -> None:
        self.places = Places(workspace, copies)
        self._workspace = workspace
        self._base = base
        self._now: Look = look(workspace, _ANY_NUMBER)
        self._wanted = {kept.signature[1]: kept for kept in base.kept()}
        self._wanted_directories = {directory.inode for directory in base.directories.values()}
        self._right: set[str] = set()
        """Paths of files and directories that are what the base has there, whatever became of their content."""
        self._wrong: list[str] = []
        """Paths of others in directories that are right."""
        self._in_place: dict[Kept, str] = {}
        """Files that have one name at least where they belong."""
        self._drawer: int | None = None
        self._drawer_name = ""
        self._in_drawer: set[int] = set()
        """Inodes; they are the names in it."""
        self._touched: set[str] = set()
        """Directories to be dressed: something was put into them or taken out, or they are new."""

    def run(self) -> None:
        """Do it. Raises OSError; it can be tried again then, by another."""
        try:
            self._sort()
            self._open_up()
            for path in self._wrong:
                self._clear(path)
            for path in sorted(self._base.directories):
                if path not in self._right:
                    self._place_directory(path)
            suspects = self._suspects()
            for kept, path in self._in_place.items():
                if not kept.sure or kept in suspects or self._now.index.find(path) != kept.signature:
                    self._touched.add(_parent(path))  # a link is made anew
                    self.places.repair(path, kept)
            for path, kept in self._base.files.items():
                if path not in self._right:
                    self._place_file(path, kept)
        finally:
            self._close_drawer()
        self._dress_directories()

    def _suspects(self) -> set[Kept]:
        """Return files that must be read to know what is in them, by whatever name they were written."""
        suspects = self._base.suspects
        return {kept for path, kept in self._base.files.items() if suspects.has(path)} if suspects else set()

    def _sort(self) -> None:
        present_inodes = {directory.inode for directory in self._now.directories.values()}
        waiting = [""]
        while waiting:
            path = waiting.pop()
            self._right.add(path)
            for name, signature in self._now.index.directories.get(path, {}).items():
                full = path + name
                if not stat.S_ISDIR(signature[0]):
                    self._sort_file(full, signature)
                    continue
                wanted = self._base.directories.get(full + "/")
                inode = signature[1]
                # One that was made anew under the old name does as well, where the old one is gone.
                if wanted is not None and (
                    wanted.inode == inode
                    or (wanted.inode not in present_inodes and inode not in self._wanted_directories)
                ):
                    waiting.append(full + "/")
                else:
                    self._wrong.append(full + "/")

    def _sort_file(self, path: str, signature: Signature) -> None:
        kept = self._base.files.get(path)
        if kept is not None and self._is(kept, signature):
            self._right.add(path)
            self._in_place[kept] = path
        else:
            self._wrong.append(path)

    def _is(self, kept: Kept, signature: Signature) -> bool:
        return kept.signature[1] == signature[1] and kept.kind == stat.S_IFMT(signature[0])

    def _open_up(self) -> None:
        """Give the owner all rights to directories, from the top down; they are dressed again in the end."""
        for path, directory in sorted(self._now.directories.items()):
            if directory.mode & _ALL_RIGHTS != _ALL_RIGHTS:
                open_up(self._workspace, path)
                self._touched.add(path)

    # Away with what is wrong.

    def _clear(self, path: str) -> None:
        """Delete what is at ``path``, but for what belongs elsewhere."""
        self._touched.add(_parent(path))
        if not path.endswith("/"):
            with self.places.parent(path) as (parent, entry):
                self._clear_file(parent, entry, self._now.index.find(path))
            return
        listed = self._now.index.directories
        inside = [path]
        for above in inside:
            entries = listed.get(above, {}).items()
            inside += [f"{above}{name}/" for name, found in entries if stat.S_ISDIR(found[0])]
        for directory in reversed(inside):
            if directory in listed:
                descriptor = self.places.directory(directory)
                try:
                    for name, signature in listed[directory].items():
                        if not stat.S_ISDIR(signature[0]):
                            self._clear_file(descriptor, os.fsencode(name), signature)
                finally:
                    os.close(descriptor)
            self._clear_directory(directory)

    def _clear_file(self, parent: int, name: bytes, signature: Signature | None) -> None:
        kept = self._wanted.get(signature[1]) if signature is not None else None
        if (
            kept is None
            or signature is None
            or not self._is(kept, signature)
            or kept in self._in_place
            or not self._put_aside(parent, name, signature[1])
        ):
            os.unlink(name, dir_fd=parent)

    def _clear_directory(self, path: str) -> None:
        found = self._now.directories.get(path)
        wanted = found is not None and found.inode in self._wanted_directories
        with self.places.parent(path) as (parent, name):
            if found is None or not wanted or not self._put_aside(parent, name, found.inode):
                remove_tree(parent, name)

    def _put_aside(self, parent: int, name: bytes, inode: int) -> bool:
        """Put something into the drawer; False where it is there already or there can be no drawer."""
        if inode in self._in_drawer:
            return False
        if self._drawer is None:
            self._drawer_name = f".sandbank-{secrets.token_hex(8)}/"
            try:
                self.places.make_directory(self._drawer_name)
            except OSError:  # no room for one more entry: then the copies have to do
                return False
            self._touched.add("")
            self._drawer = self.places.directory(self._drawer_name)
        os.rename(name, b"%d" % inode, src_dir_fd=parent, dst_dir_fd=self._drawer)
        self._in_drawer.add(inode)
        return True

    def _take_out(self, inode: int, path: str) -> bool:
        """Put something from the drawer where it belongs; False where it is not there."""
        if inode not in self._in_drawer or self._drawer is None:
            return False
        with self.places.parent(path) as (parent, name):
            os.rename(b"%d" % inode, name, src_dir_fd=self._drawer, dst_dir_fd=parent)
        self._in_drawer.discard(inode)
        return True

    def _close_drawer(self) -> None:
        if self._drawer is not None:
            os.close(self._drawer)
            self._drawer = None
            with self.places.parent(self._drawer_name) as (parent, name):
                remove_tree(parent, name)

    # Here with what is missing.

    def _place_directory(self, path: str) -> None:
        self._touched |= {path, _parent(path)}
        if not self._take_out(self._base.directories[path].inode, path):
            self.places.make_directory(path)

    def _place_file(self, path: str, kept: Kept) -> None:
        self._touched.add(_parent(path))
        if kept in self._in_place:
            self.places.link(self._in_place[kept], path)
            self.places.dress(path, kept)
            return
        self._in_place[kept] = path
        if self._take_out(kept.signature[1], path):
            self.places.repair(path, kept)
        else:
            self.places.create(path, kept)

    def _dress_directories(self) -> None:
        for path, wanted in sorted(self._base.directories.items(), reverse=True):
            found = self._now.directories.get(path)
            if (
                path in self._touched
                or found is None
                or (found.mode, found.modified_ns, found.inode)
                != (wanted.mode, wanted.modified_ns, wanted.inode)
            ):
                self.places.dress_directory(path, wanted)


def _parent(path: str) -> str:
    """Return the path of the directory that something is in."""
    parent, slash, _ = path.rstrip("/").rpartition("/")
    return parent + slash
