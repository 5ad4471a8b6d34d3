"""What a reader says of a place in code, checked field by field, as answers of the public API without ``as_of``."""

from __future__ import annotations

from typing import Any, Final

from sandbank.v1.state_pb2 import CompleteResponse, CompletionMatch, InspectResponse

from sandbank_runner.channel import Message
from sandbank_runner.supervisor.interpreter_messages import BadMessage, escaped

MATCHES: Final = 1000
TEXT_CHARACTERS: Final = 1000
DESCRIPTION_BYTES: Final = 4 * 1024 * 1024
"""All types of a description together."""

_KIND_CHARACTERS: Final = 50
_SIGNATURE_CHARACTERS: Final = 500
_TYPES: Final = 8
_MIME_CHARACTERS: Final = 250


def parse_completed(message: Message, cursor: int) -> CompleteResponse:
    """Return the ways to complete code before ``cursor``."""
    header = message.header
    matches, start = header.get("matches"), header.get("start")
    if not isinstance(matches, list) or len(matches) > MATCHES:
        raise BadMessage("matches")
    if type(start) is not int or not 0 <= start <= cursor:
        raise BadMessage("start")
    return CompleteResponse(
        matches=[_match(match) for match in matches], start_position=start, end_position=cursor
    )


def parse_inspected(message: Message) -> InspectResponse:
    """Return a description."""
    found, mime = message.header.get("found"), message.header.get("mime")
    if type(found) is not bool or not isinstance(mime, list) or len(mime) > _TYPES:
        raise BadMessage("description")
    if len(mime) != len(message.blobs) or sum(map(len, message.blobs)) > DESCRIPTION_BYTES:
        raise BadMessage("description")
    names = [_text(name, _MIME_CHARACTERS) for name in mime]
    if not all(names) or (names and not found):
        raise BadMessage("mime")
    return InspectResponse(found=found, data=dict(zip(names, message.blobs, strict=True)))


def _match(match: object) -> CompletionMatch:
    if not isinstance(match, list) or len(match) != 3:
        raise BadMessage("match")
    return CompletionMatch(
        text=_text(match[0], TEXT_CHARACTERS),
        type=_text(match[1], _KIND_CHARACTERS),
        signature=_text(match[2], _SIGNATURE_CHARACTERS),
    )


def _text(value: Any, characters: int) -> str:
    if not isinstance(value, str):
        raise BadMessage("text")
    return escaped(value[:characters])[:characters]
