"""Writing a file: whole, with its size and hash checked, or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from typing import Any

from sandbank_runner.files import paths
from sandbank_runner.files.entries import entry
from sandbank_runner.files.problems import BAD_FIELD, CHECKSUM_MISMATCH, FileProblem
from sandbank_runner.files.workspace import Workspace

_DEFAULT_MODE = 0o644
_NO_UNNAMED_FILES = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)
_HEX = frozenset("0123456789abcdef")


class Upload:
    """One upload. A nameless file takes the content, so that even a killed helper leaves nothing behind."""

    def __init__(self, workspace: Workspace, path: str, mode: int, size_bytes: int, sha256: str) -> None:
        """Check the announcement; nothing is written yet. Raises :class:`FileProblem` BAD_FIELD."""
        self._workspace = workspace
        self._parts = paths.split(path)
        if path.endswith("/"):
            raise FileProblem(BAD_FIELD, "path is that of a directory")
        if mode & ~0o777:
            raise FileProblem(BAD_FIELD, "mode has more than permission bits")
        if size_bytes < -1:
            raise FileProblem(BAD_FIELD, "size_bytes must not be negative")
        if sha256 and (len(sha256) != 64 or not _HEX.issuperset(sha256)):
            raise FileProblem(BAD_FIELD, "sha256 must be 64 lower-case hexadecimal digits")
        self._mode = mode or _DEFAULT_MODE
        self._announced = size_bytes
        self._sha256 = sha256

    def write(self, chunks: Iterator[bytes]) -> dict[str, Any]:
        """Write what ``chunks`` give and put it in place; return its entry. Raises :class:`FileProblem`, OSError."""
        with _unnamed_file(self._workspace) as (descriptor, name):
            digest = self._fill(descriptor, chunks)
            os.fchmod(descriptor, self._mode)
            self._put_in_place(descriptor, name)
            return entry(paths.shown(self._parts), os.fstat(descriptor), digest)

    def _fill(self, descriptor: int, chunks: Iterator[bytes]) -> str:
        digest, size = hashlib.sha256(), 0
        for chunk in chunks:
            size += len(chunk)
            if 0 <= self._announced < size:
                raise FileProblem(CHECKSUM_MISMATCH, f"more than the {self._announced} bytes announced")
            digest.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[os.write(descriptor, view) :]
        if self._announced not in (-1, size):
            raise FileProblem(CHECKSUM_MISMATCH, f"{size} bytes instead of the {self._announced} announced")
        found = digest.hexdigest()
        if self._sha256 not in ("", found):
            raise FileProblem(CHECKSUM_MISMATCH, f"SHA-256 is {found}, not {self._sha256}")
        return found

    def _put_in_place(self, descriptor: int, name: bytes | None) -> None:
        parent, made = self._workspace.make_directories(self._parts[:-1])
        try:
            target = self._parts[-1]
            if name is None:
                _link(descriptor, parent, target)
            else:
                os.rename(name, target, src_dir_fd=self._workspace.descriptor, dst_dir_fd=parent)
        except BaseException:
            self._workspace.remove_directories(made)
            raise
        finally:
            os.close(parent)


def _link(descriptor: int, parent: int, target: bytes) -> None:
    """Give the nameless file its name, replacing what has it now in one step."""
    source = f"/proc/self/fd/{descriptor}"
    try:
        os.link(source, target, dst_dir_fd=parent, follow_symlinks=True)
    except FileExistsError:
        hidden = _hidden_name()
        os.link(source, hidden, dst_dir_fd=parent, follow_symlinks=True)
        try:
            os.rename(hidden, target, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            os.unlink(hidden, dir_fd=parent)
            raise


@contextlib.contextmanager
def _unnamed_file(workspace: Workspace) -> Iterator[tuple[int, bytes | None]]:
    """Give a fresh file to write: nameless, or with a hidden name where the file system has no nameless ones."""
    name: bytes | None = None
    try:
        descriptor = os.open(
            b".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=workspace.descriptor
        )
    except OSError as error:
        if error.errno not in _NO_UNNAMED_FILES:
            raise
        name = _hidden_name()
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=workspace.descriptor)
    try:
        yield descriptor, name
    finally:
        os.close(descriptor)
        if name is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=workspace.descriptor)


def _hidden_name() -> bytes:
    return b".sandbank-upload-" + secrets.token_hex(8).encode()
