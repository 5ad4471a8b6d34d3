"""What a reader says, checked field by field, as variables of the public API: it too runs hostile code."""

from __future__ import annotations

from typing import Any

from sandbank.v1.variable_pb2 import Variable

from sandbank_runner.channel import Message
from sandbank_runner.supervisor.interpreter_messages import BadMessage, escaped

LONGEST_PREVIEW = 2000
"""Characters; a page of the longest still fits a frame."""
NOT_TRIED = "saving it was not tried: its own code, or what it holds, stands in the way"
"""Of variables whose reader hung or died, or that are not looked at any more."""

_NAME_CHARACTERS = 1000
_TYPE_CHARACTERS = 250
_MIME_CHARACTERS = 250
_MESSAGE_CHARACTERS = 300
_DIMENSIONS = 64
_INT53 = 2**53


def parse_variables(message: Message) -> tuple[list[Variable], Variable | None]:
    """Return those that are described, and the one that the reader turns to now, as far as it is known."""
    items, at = message.header.get("items"), message.header.get("at")
    if not isinstance(items, list):
        raise BadMessage("items")
    return [_variable(item) for item in items], None if at is None else _variable(at)


def parse_value(message: Message, limit: int) -> tuple[str, str | None, bytes]:
    """Return (MIME type, preview where it comes with the value, value) of a `value`."""
    header = message.header
    data = b"".join(message.blobs)
    if len(data) > limit:
        raise BadMessage("value")
    preview = header.get("preview")
    return (
        _text(header, "mime_type", _MIME_CHARACTERS) or "application/octet-stream",
        None if preview is None else _text(header, "preview", LONGEST_PREVIEW),
        data,
    )


def parse_no_value(message: Message) -> tuple[str, str, int]:
    """Return (reason, message, size) of a `no_value`."""
    header = message.header
    return (
        _text(header, "reason", _TYPE_CHARACTERS),
        _text(header, "message", _MESSAGE_CHARACTERS),
        _natural(header.get("size")) or 0,
    )


def _variable(item: object) -> Variable:
    if not isinstance(item, dict):
        raise BadMessage("item")
    tried = item.get("unsavable") is not None
    reason = _text(item, "unsavable", _MESSAGE_CHARACTERS) if tried else NOT_TRIED
    variable = Variable(
        name=_text(item, "name", _NAME_CHARACTERS),
        type_name=_text(item, "type_name", _TYPE_CHARACTERS),
        size_bytes=_natural(item.get("size_bytes")) or 0,
        serializable=not reason,
        unserializable_reason=reason,
        preview=_text(item, "preview", LONGEST_PREVIEW),
        shape=_shape(item.get("shape")),
        dtype=_text(item, "dtype", _TYPE_CHARACTERS),
    )
    length = _natural(item.get("length"))
    if length is not None:
        variable.length = length
    return variable


def _shape(value: object) -> list[int]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > _DIMENSIONS:
        raise BadMessage("shape")
    return [_natural(part) or 0 for part in value]


def _natural(value: object) -> int | None:
    if value is None:
        return None
    if type(value) is not int:
        raise BadMessage("number")
    return min(max(value, 0), _INT53)


def _text(item: dict[str, Any], key: str, characters: int) -> str:
    value = item.get(key, "")
    if not isinstance(value, str):
        raise BadMessage(key)
    return escaped(value[:characters])[:characters]
