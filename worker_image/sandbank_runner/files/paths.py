"""Paths as a client gives them: relative to the workspace, UTF-8, without ``..``."""

from __future__ import annotations

from sandbank_runner.files.problems import BAD_FIELD, FileProblem

PATH_BYTES = 4096
"""Longest path, in UTF-8."""
NAME_BYTES = 255
"""Longest part of one."""


def split(path: str, *, allow_workspace: bool = False) -> list[bytes]:
    """Return the parts of ``path``; empty parts and ``.`` count for nothing.

    Raises :class:`FileProblem` BAD_FIELD for a path that is absolute, has ``..`` or a null character, is too
    long, or means the workspace itself where that is not allowed. Links are another matter, left to the
    kernel.
    """
    try:
        raw = path.encode()
    except UnicodeEncodeError:
        raise FileProblem(BAD_FIELD, "path cannot be written in UTF-8") from None
    if b"\0" in raw:
        raise FileProblem(BAD_FIELD, "path has a null character")
    if len(raw) > PATH_BYTES:
        raise FileProblem(BAD_FIELD, f"path has {len(raw)} bytes, at most {PATH_BYTES} are allowed")
    if raw.startswith(b"/"):
        raise FileProblem(BAD_FIELD, "path must be relative to the workspace")
    parts = [part for part in raw.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise FileProblem(BAD_FIELD, "path must not have '..'")
    if any(len(part) > NAME_BYTES for part in parts):
        raise FileProblem(BAD_FIELD, f"a part of the path has more than {NAME_BYTES} bytes")
    if not parts and not allow_workspace:
        raise FileProblem(BAD_FIELD, "path is the workspace itself")
    return parts


def shown(parts: list[bytes]) -> str:
    """Return a path as answers show it: bytes that are not UTF-8 backslash-escaped."""
    return b"/".join(parts).decode("utf-8", "backslashreplace")
