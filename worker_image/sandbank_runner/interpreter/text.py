"""Text that can be sent: valid UTF-8, and no longer than it may be."""

from __future__ import annotations

from sandbank_runner.interpreter.sealed import seal

seal(globals())

_isascii = str.isascii
_encode = str.encode


def encoded(text: str) -> bytes:
    """Return ``text`` as UTF-8, with what that cannot carry backslash-escaped. A subclass is taken as what it holds."""
    return _encode(text, "utf-8", "backslashreplace")


def sendable(text: str) -> str:
    """Return ``text`` as a plain string without lone surrogates."""
    if type(text) is str and _isascii(text):
        return text
    return encoded(text).decode("utf-8")


def shortened(text: str, characters: int) -> str:
    """Return :func:`sendable` text with the middle left out where it is longer than ``characters``."""
    if type(text) is not str:
        text = sendable(text)
    size = len(text)
    if size <= characters:
        return sendable(text)
    note = f"\n… {size - characters} characters left out …\n"
    half = max(characters - len(note), 0) // 2
    return sendable(text[:half]) + note + sendable(text[size - half :])
