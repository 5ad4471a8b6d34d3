"""The supervisor's side: messages of the private protocol from and to the frames of a file helper.

A helper runs as the user of user code. It is the project's own program behind the same walls, but what it
says is checked like everything that comes from there.
"""

from __future__ import annotations

from typing import Any

from sandbank_runner.files.problems import REASONS
from sandbank_runner.files.protocol import LIST_ENTRIES, MESSAGE_CHARACTERS, FileProtocolError
from sandbank_runner.v1.runner_pb2 import Failure, FileEntry, FileReply, FileRequest

_SECOND = 1_000_000_000
_PATH_CHARACTERS = 32 * 1024
_INT64 = 2**63
_FIELDS = {
    "upload": ("path", "mode", "size_bytes", "sha256"),
    "download": ("path", "offset_bytes", "length_bytes"),
    "stat": ("path", "with_sha256"),
    "list": ("path", "recursive", "after_path", "limit"),
    "delete": ("path", "recursive"),
    "make_directory": ("path",),
}
READING = frozenset(("download", "stat", "list"))
"""Requests that change nothing: one that broke off can be repeated blindly."""


def request_header(request: FileRequest) -> dict[str, Any]:
    """Return the helper's form of ``request``. Raises :class:`FileProtocolError` for an empty one."""
    kind = request.WhichOneof("request")
    if kind is None:
        raise FileProtocolError("an empty file request")
    message = getattr(request, kind)
    return {"request": kind, **{name: getattr(message, name) for name in _FIELDS[kind]}}


def failure(reason: str, message: str) -> FileReply:
    """Return the reply that says why there is nothing else."""
    return FileReply(failure=Failure(reason=reason, message=message[:MESSAGE_CHARACTERS]))


def reply(header: dict[str, Any]) -> FileReply:
    """Return the reply that a helper's answer stands for. Raises :class:`FileProtocolError`."""
    if "failure" in header:
        problem = header["failure"]
        if not isinstance(problem, dict):
            raise FileProtocolError("malformed failure")
        reason, message = problem.get("reason"), problem.get("message")
        if reason not in REASONS or not isinstance(message, str):
            raise FileProtocolError("malformed failure")
        return failure(str(reason), _text(message, MESSAGE_CHARACTERS))
    if "entry" in header:
        return FileReply(info=_entry(header["entry"]))
    if "list" in header:
        entries, more = header["list"], header.get("more")
        if not isinstance(entries, list) or len(entries) > LIST_ENTRIES or not isinstance(more, bool):
            raise FileProtocolError("malformed list")
        return FileReply(list=[_entry(entry) for entry in entries], more=more)
    return FileReply()


def _entry(value: Any) -> FileEntry:
    if not isinstance(value, dict):
        raise FileProtocolError("malformed entry")
    path, sha256, directory = value.get("path"), value.get("sha256"), value.get("is_directory")
    if not isinstance(path, str) or not isinstance(sha256, str) or not isinstance(directory, bool):
        raise FileProtocolError("malformed entry")
    if len(path) > _PATH_CHARACTERS or len(sha256) not in (0, 64):
        raise FileProtocolError("malformed entry")
    modified = _number(value, "modify_time_ns", -_INT64, _INT64)
    result = FileEntry(
        path=_text(path, _PATH_CHARACTERS),
        is_directory=directory,
        size_bytes=_number(value, "size_bytes", 0, _INT64),
        mode=_number(value, "mode", 0, 2**32),
        sha256=_text(sha256, 64),
    )
    result.modify_time.seconds = modified // _SECOND
    result.modify_time.nanos = modified % _SECOND
    return result


def _number(value: dict[str, Any], key: str, lowest: int, beyond: int) -> int:
    found = value.get(key)
    if type(found) is not int or not lowest <= found < beyond:
        raise FileProtocolError(f"malformed {key}")
    return found


def _text(value: str, characters: int) -> str:
    """Return ``value`` cut and free of what UTF-8 cannot carry."""
    return value[:characters].encode("utf-8", "backslashreplace").decode()[:characters]
