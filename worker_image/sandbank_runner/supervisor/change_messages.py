"""What an interpreter says of the changes of variables, checked field by field: it runs hostile code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from sandbank.v1.variable_pb2 import VariableChange

from sandbank_runner.channel import Message
from sandbank_runner.supervisor.interpreter_messages import BadMessage, Done, escaped

LONGEST_PREVIEW: Final = 2000
"""Characters."""

_NAME_CHARACTERS: Final = 1000
_TYPE_CHARACTERS: Final = 250
_DETAIL_CHARACTERS: Final = 1000
_BYTES: Final = 4 * 1024 * 1024
"""All of them together: the event that they are in has a bound, and the result is in it too."""
_INT53: Final = 2**53


def with_changes(done: Done, message: Message, limit: int) -> Done:
    """Return the end of an operation with the changes, at most ``limit``, that the interpreter tells with it."""
    truncated = message.header.get("changes_truncated", False)
    if type(truncated) is not bool:
        raise BadMessage("changes_truncated")
    changes, is_cut = parse_changes(message.header.get("changes"), limit)
    if not (changes or truncated or is_cut):
        return done
    return replace(done, changes=changes, changes_truncated=truncated or is_cut)


def parse_changes(told: object, limit: int) -> tuple[tuple[VariableChange, ...], bool]:
    """Return changes, as many as are taken, and whether some were left out."""
    if told is None:
        return (), False
    if not isinstance(told, list):
        raise BadMessage("changes")
    found: list[VariableChange] = []
    size = 0
    for item in told[:limit]:
        change = parse_change(item)
        size += change.ByteSize()
        if size > _BYTES:
            return tuple(found), True
        found.append(change)
    return tuple(found), len(told) > limit


def parse_change(item: object) -> VariableChange:
    """Return one change."""
    if not isinstance(item, dict):
        raise BadMessage("change")
    kind, size, serializable = item.get("kind"), item.get("size_bytes", 0), item.get("serializable", False)
    if type(kind) is not int or kind == 0 or kind not in VariableChange.Kind.values():
        raise BadMessage("kind")
    if type(size) is not int or type(serializable) is not bool:
        raise BadMessage("change")
    name = _text(item, "name", _NAME_CHARACTERS)
    if not name:
        raise BadMessage("name")
    return VariableChange(
        name=name,
        kind=kind,  # type: ignore[arg-type]
        type_name=_text(item, "type_name", _TYPE_CHARACTERS),
        size_bytes=min(max(size, 0), _INT53),
        serializable=serializable,
        preview=_text(item, "preview", LONGEST_PREVIEW),
        previous_type_name=_text(item, "previous_type_name", _TYPE_CHARACTERS),
        detail=_text(item, "detail", _DETAIL_CHARACTERS),
    )


def _text(item: dict[str, Any], key: str, characters: int) -> str:
    value = item.get(key, "")
    if not isinstance(value, str):
        raise BadMessage(key)
    return escaped(value[:characters])[:characters]
