"""MIME bundles as they are sent: bytes by type, bounded."""

from __future__ import annotations

import base64
import json
from typing import Any

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.text import encoded

seal(globals())

TEXT = "text/plain"
TEXT_BYTES = 1024 * 1024
"""Plain text is cut at this size."""
PART_BYTES = 6 * 1024 * 1024
"""A larger representation is left out, with a note in the plain text."""
BUNDLE_BYTES = 12 * 1024 * 1024
"""What all representations of one value may have together; the largest are left out beyond it."""
_TYPES = 32
"""How many of them."""
_NAME_CHARACTERS = 250

Bundle = tuple[dict[str, bytes], dict[str, Any]]
"""Data by MIME type, and metadata."""


def encode_all(data: Any) -> dict[str, bytes]:
    """Return a bundle that user code made. TypeError and ValueError where it is none."""
    if not isinstance(data, dict):
        raise TypeError(f"a dict of MIME types expected, not {type(data).__name__}")
    return {name: encode(name, part) for name, part in data.items() if part is not None}


def encode(mime: str, part: Any) -> bytes:
    """Return one representation as bytes: text as UTF-8, JSON as its text, images from base64 where they are text."""
    if not isinstance(mime, str) or not 0 < len(mime) <= _NAME_CHARACTERS:
        raise ValueError(f"a MIME type is a string of 1 to {_NAME_CHARACTERS} characters")
    if isinstance(part, (bytes, bytearray, memoryview)):
        return bytes(part)
    if mime == "application/json" or mime.endswith("+json"):
        return encoded(
            part if isinstance(part, str) and _is_json(part) else json.dumps(part, allow_nan=False)
        )
    if not isinstance(part, str):
        raise TypeError(f"{mime}: text or bytes expected, not {type(part).__name__}")
    data = encoded(part)
    if mime == "application/pdf" or (
        mime.startswith(("image/", "audio/", "video/")) and not mime.endswith("+xml")
    ):
        try:
            return base64.b64decode(data)
        except ValueError:
            return data
    return data


def cut_text(data: bytes) -> bytes:
    """Return plain text within its bound, with a note where something is left out."""
    if len(data) <= TEXT_BYTES:
        return data
    return data[:TEXT_BYTES].decode("utf-8", "ignore").encode() + b"\n... (%d bytes in all)" % len(data)


def bounded(data: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out of ``data`` what is too large or too much, with notes in the plain text."""
    left_out = [name for name in data if name != TEXT][_TYPES - 1 :]
    if TEXT in data:
        data[TEXT] = cut_text(data[TEXT])
    size = sum(map(len, data.values()))
    for name in sorted(data, key=lambda name: -len(data[name])):
        if name == TEXT or name in left_out:
            continue
        if len(data[name]) > PART_BYTES or size > BUNDLE_BYTES:
            left_out.append(name)
            size -= len(data[name])
    notes = [f"{name}, {len(data.pop(name))} bytes, left out" for name in left_out]
    if notes:
        lines = [data.get(TEXT, b""), *(f"... ({note})".encode() for note in notes[:_TYPES])]
        data[TEXT] = b"\n".join(line for line in lines if line)
    return data


def text_or_bytes(part: bytes) -> str | bytes:
    """Return a part as IPython has it: text where it is text."""
    try:
        return part.decode("utf-8")
    except UnicodeDecodeError:
        return part


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
