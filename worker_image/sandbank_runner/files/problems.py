"""What can be wrong with a file request, by the reasons of the public API."""

from __future__ import annotations

import errno

from sandbank_runner.files.protocol import MESSAGE_CHARACTERS

BAD_FIELD = "BAD_FIELD"
BUG = "BUG"
CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH"
DIRECTORY_NOT_EMPTY = "DIRECTORY_NOT_EMPTY"
FILE_NOT_FOUND = "FILE_NOT_FOUND"
FILES_TOO_LARGE = "FILES_TOO_LARGE"  # of the keeper only
SANDBOX_LOST = "SANDBOX_LOST"
SANDBOX_LOST_BEFORE_START = "SANDBOX_LOST_BEFORE_START"
WORKSPACE_FULL = "WORKSPACE_FULL"

REASONS = frozenset((BAD_FIELD, BUG, CHECKSUM_MISMATCH, DIRECTORY_NOT_EMPTY, FILE_NOT_FOUND, WORKSPACE_FULL))
"""Those that a helper gives."""

_BY_ERROR = {
    errno.ENOENT: (FILE_NOT_FOUND, "no such file or directory"),
    errno.ENOTDIR: (FILE_NOT_FOUND, "no such file or directory: a part of the path is no directory"),
    errno.EXDEV: (BAD_FIELD, "path leads out of the workspace"),
    errno.ELOOP: (BAD_FIELD, "path has too many links"),
    errno.ENAMETOOLONG: (BAD_FIELD, "path is too long"),
    errno.EACCES: (BAD_FIELD, "permission denied"),
    errno.EPERM: (BAD_FIELD, "permission denied"),
    errno.EISDIR: (BAD_FIELD, "path is a directory"),
    errno.EEXIST: (BAD_FIELD, "path exists and is something else"),
    errno.EBUSY: (BAD_FIELD, "path is in use"),
    errno.EROFS: (BAD_FIELD, "path is read-only"),
    errno.ENOTEMPTY: (DIRECTORY_NOT_EMPTY, "directory is not empty"),
    errno.ENOSPC: (WORKSPACE_FULL, "the workspace has no room"),
    errno.EDQUOT: (WORKSPACE_FULL, "the workspace has no room"),
    errno.EFBIG: (WORKSPACE_FULL, "the file is larger than the workspace takes"),
}


class FileProblem(Exception):
    """A request that cannot be done. ``reason`` is of the public API's table, ``message`` one sentence for the user."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message[:MESSAGE_CHARACTERS]


def from_error(error: OSError, path: str) -> FileProblem:
    """Return what ``error`` means to the one who asked for ``path``."""
    reason, sentence = _BY_ERROR.get(error.errno or 0, (BUG, f"unexpected error {error.errno}"))
    return FileProblem(reason, f"{sentence}: {path[:300]!r}" if path else sentence)
