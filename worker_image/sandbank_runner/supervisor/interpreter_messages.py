"""What an interpreter says, checked field by field: it runs hostile code and is believed in nothing.

A message that is not well formed raises :class:`BadMessage` and is dropped by the caller. Text is cut at a bound, and
what UTF-8 cannot carry is backslash-escaped.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from sandbank.v1.execution_pb2 import Display, ExecutionError, FileChangeKind, Frame, SyntaxErrorDetail
from sandbank.v1.variable_pb2 import VariableChange

from sandbank_runner.channel import PACKET_BYTES, Message
from sandbank_runner.supervisor.operations import Notice
from sandbank_runner.supervisor.pumps import STDERR, STDOUT

EVENT_BYTES = 15 * 1024 * 1024
"""Largest content of one event: the public message limit is 16 MiB, and the rest of the event needs room too."""

_MIME_TYPES = 64
_WARNINGS = 64
_NAMES = 256
_FILES = 4096
_PATH_CHARACTERS = 4096
_WARNING_CHARACTERS = 2000
_NAME_CHARACTERS = 256
_TEXT_CHARACTERS = 256 * 1024
_FRAMES = 200
_INT32 = 2**31 - 1
_INT53 = 2**53
_LONGEST_SECONDS = 10**9


class BadMessage(Exception):
    """The interpreter sent what an honest one does not."""


@dataclass(frozen=True, slots=True)
class Done:
    """The end of an operation, as the interpreter tells it."""

    ok: bool
    interrupted: bool
    result: dict[str, bytes]
    dropped_bytes: int
    """Bytes of the result that were too many to keep."""
    error: ExecutionError | None
    cpu_seconds: float
    peak_memory_bytes: int
    files: tuple[tuple[str, int], ...] = ()
    """What became of the workspace's files: (path, number of a ``FileChangeKind``)."""
    files_truncated: bool = False
    warnings: tuple[Notice, ...] = ()
    conflicts: tuple[str, ...] = ()
    """ISOLATION_NAMESPACE: the names for which nothing was merged."""
    changes: tuple[VariableChange, ...] = ()
    changes_truncated: bool = False


@dataclass(frozen=True, slots=True)
class Woken:
    """What a snapshot found when it woke."""

    warnings: tuple[Notice, ...] = ()
    files: tuple[tuple[str, int], ...] = ()
    """What the workspace shows that the snapshot does not know of."""
    files_truncated: bool = False


def parse_done(message: Message) -> Done:
    """Return the content of a `done`."""
    header = message.header
    ok = _boolean(header, "ok")
    error = header.get("error")
    if ok != (error is None):
        raise BadMessage("error and ok disagree")
    result, dropped = _fit(_bundle(message), 0 if error is not None else EVENT_BYTES)
    return Done(
        ok=ok,
        interrupted=_boolean(header, "interrupted"),
        result=result,
        dropped_bytes=dropped,
        error=None if error is None else _error(error),
        cpu_seconds=_seconds(header.get("cpu_seconds")),
        peak_memory_bytes=_integer(header, "peak_memory_bytes", _INT53),
        files=_files(header.get("files")),
        files_truncated=_boolean(header, "files_truncated"),
        warnings=_warnings(header.get("warnings")),
        conflicts=names_of(header.get("conflicts")),
    )


def parse_awake(message: Message) -> Woken:
    """Return the content of an `awake`."""
    header = message.header
    return Woken(
        _warnings(header.get("warnings")), _files(header.get("files")), _boolean(header, "files_truncated")
    )


def names_of(value: object) -> tuple[str, ...]:
    """Return a list of names, as many as are taken; what is none is left out."""
    if not isinstance(value, list):
        return ()
    names = (name for name in value[:_NAMES] if isinstance(name, str))
    return tuple(escaped(name[:_NAME_CHARACTERS]) for name in names)


def parse_display(message: Message) -> Display:
    """Return the content of a `display`."""
    header = message.header
    metadata = header.get("metadata", {})
    if not isinstance(metadata, dict):
        raise BadMessage("metadata")
    display = Display(
        metadata={_name(key): _json(value) for key, value in metadata.items()},
        display_id=_text(header, "display_id", _NAME_CHARACTERS),
        update=_boolean(header, "update"),
    )
    for kind, value in _bundle(message).items():
        display.data[kind] = value
    return display


def parse_output(message: Message) -> tuple[int, bytes]:
    """Return stream and content of an `output`."""
    stream = message.header.get("stream")
    if type(stream) is not int or stream not in (STDOUT, STDERR) or len(message.blobs) != 1:
        raise BadMessage("output")
    data = message.blobs[0]
    if not 0 < len(data) <= PACKET_BYTES:
        raise BadMessage("output")
    return stream, data


def _bundle(message: Message) -> dict[str, bytes]:
    kinds = message.header.get("mime", [])
    if not isinstance(kinds, list) or len(kinds) != len(message.blobs) or len(kinds) > _MIME_TYPES:
        raise BadMessage("mime")
    return {_name(kind): blob for kind, blob in zip(kinds, message.blobs, strict=True)}


def _warnings(value: object) -> tuple[Notice, ...]:
    if not value:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise BadMessage("warnings")
    return tuple(
        Notice(
            _text(each, "code", _NAME_CHARACTERS),
            _text(each, "message", _WARNING_CHARACTERS),
            names_of(each.get("names")),
        )
        for each in value[:_WARNINGS]
    )


def _files(value: object) -> tuple[tuple[str, int], ...]:
    if not value:
        return ()
    if not isinstance(value, list):
        raise BadMessage("files")
    return tuple(_file(each) for each in value[:_FILES])


def _file(value: object) -> tuple[str, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise BadMessage("file")
    path, kind = value
    if not isinstance(path, str) or type(kind) is not int or kind not in FileChangeKind.values():
        raise BadMessage("file")
    return escaped(path[:_PATH_CHARACTERS]), kind


def _fit(bundle: dict[str, bytes], limit: int) -> tuple[dict[str, bytes], int]:
    """Drop the largest representations until the rest fits; return it and the bytes dropped."""
    size = sum(map(len, bundle.values()))
    dropped = 0
    while size - dropped > limit:
        largest = max(bundle, key=lambda kind: len(bundle[kind]))
        dropped += len(bundle.pop(largest))
    return bundle, dropped


def _error(value: object) -> ExecutionError:
    if not isinstance(value, dict):
        raise BadMessage("error")
    frames = value.get("frames", [])
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise BadMessage("frames")
    error = ExecutionError(
        type_name=_text(value, "type_name", _NAME_CHARACTERS),
        message=_text(value, "message", _TEXT_CHARACTERS),
        traceback_text=_text(value, "traceback_text", _TEXT_CHARACTERS),
        frames=[_frame(frame) for frame in frames[-_FRAMES:]],
    )
    detail = value.get("syntax_error")
    if detail is not None:
        if not isinstance(detail, dict):
            raise BadMessage("syntax_error")
        error.syntax_error.CopyFrom(
            SyntaxErrorDetail(
                line=_integer(detail, "line", _INT32),
                column=_integer(detail, "column", _INT32),
                end_line=_integer(detail, "end_line", _INT32),
                end_column=_integer(detail, "end_column", _INT32),
                text=_text(detail, "text", _TEXT_CHARACTERS),
            )
        )
    return error


def _frame(value: dict[str, Any]) -> Frame:
    return Frame(
        file_name=_text(value, "file_name", 4096),
        line_number=_integer(value, "line_number", _INT32),
        function_name=_text(value, "function_name", _NAME_CHARACTERS),
        source_line=_text(value, "source_line", 4096),
    )


def _boolean(header: dict[str, Any], key: str) -> bool:
    value = header.get(key, False)
    if type(value) is not bool:
        raise BadMessage(key)
    return value


def _integer(header: dict[str, Any], key: str, limit: int) -> int:
    value = header.get(key)
    if value is None:
        return 0
    if type(value) is not int:
        raise BadMessage(key)
    return min(max(value, 0), limit)


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadMessage("cpu_seconds")
    if not 0 <= value < math.inf:  # NaN is neither
        return 0.0
    return float(min(value, _LONGEST_SECONDS))


def _text(header: dict[str, Any], key: str, limit: int) -> str:
    value = header.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadMessage(key)
    return escaped(value[:limit])


def _name(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _NAME_CHARACTERS:
        raise BadMessage("name")
    return escaped(value)


def _json(value: object) -> str:
    try:
        # ASCII: a lone surrogate stays an escape, as it came. NaN is no JSON, whatever Python thinks.
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise BadMessage("metadata") from error


def escaped(text: str) -> str:
    """Return ``text`` with what UTF-8 cannot carry backslash-escaped."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
