"""Text from a sandbox on its way to a terminal.

User code may write any bytes. A terminal takes some of them as orders: to set the clipboard, to answer with
text that looks typed, to overwrite what was shown. What is left in is colour, erasing the rest of a line, and
the carriage return and backspace that progress bars use. A pipe or file gets the bytes as they are.
"""

from __future__ import annotations

import re
import sys
from typing import BinaryIO, TextIO

# Colours and styles; erase in line.
_HARMLESS = re.compile(r"\x1b\[[0-9;:]{0,32}m|\x1b\[[0-2]?K")
_CONTROL = re.compile(r"[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# A beginning of a harmless sequence that the next chunk may complete.
_UNFINISHED = re.compile(r"\x1b(\[[0-9;:]{0,32})?\Z")


class TerminalFilter:
    """Takes text in chunks and returns what may be shown of it."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str, *, final: bool = False) -> str:
        """Return what may be shown now; the beginning of a sequence waits for its rest unless `final`."""
        text, self._held = self._held + text, ""
        if not final and (match := _UNFINISHED.search(text)):
            text, self._held = text[: match.start()], match.group()
        shown, position = [], 0
        for match in _HARMLESS.finditer(text):
            shown += [_visible(text[position : match.start()]), match.group()]
            position = match.end()
        return "".join([*shown, _visible(text[position:])])


def plain(text: str) -> str:
    """Return text with every control character but line ends and tabs made visible."""
    return _visible(text.replace("\r\n", "\n")).replace("\r", "␍").replace("\b", "␈")


def _visible(text: str) -> str:
    return _CONTROL.sub(lambda match: _picture(ord(match.group())), text)


def _picture(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else "\ufffd"


class OutputWriter:
    """Writes one of the sandbox's streams to one of ours as it arrives."""

    def __init__(self, target: TextIO | None = None) -> None:
        self._target = sys.stdout if target is None else target
        self._filter = TerminalFilter() if self._target.isatty() else None
        self._at_line_start = True

    def text(self, text: str) -> None:
        """Write text."""
        shown = text if self._filter is None else self._filter.feed(text)
        self._write(shown)

    def line_ended(self) -> None:
        """Take note that somebody else has ended the line."""
        self._at_line_start = True

    def end(self) -> None:
        """Write what was held back, and end an unfinished line."""
        if self._filter is not None:
            self._write(self._filter.feed("", final=True))
        if not self._at_line_start:
            self._write("\n")

    def _write(self, text: str) -> None:
        if not text:
            return
        self._at_line_start = text.endswith("\n")
        buffer: BinaryIO | None = getattr(self._target, "buffer", None)
        if buffer is None:
            self._target.write(text)
        else:
            # The terminal's own encoding may not have all characters; the bytes were UTF-8 to begin with.
            self._target.flush()
            buffer.write(text.encode("utf-8", "replace"))
        self._target.flush()
