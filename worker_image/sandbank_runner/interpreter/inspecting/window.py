"""The part of long code that is looked at."""

from __future__ import annotations

from typing import Final

from sandbank_runner.interpreter.sealed import seal

seal(globals())

BEFORE: Final = 64 * 1024
AFTER: Final = 4 * 1024
"""Characters."""


def around(code: str, cursor: int) -> tuple[str, int]:
    """Return the code around the cursor, and how much of what is before it was left out.

    Long code is looked at from the first line that is not indented in the last 64 Ki characters before the cursor.
    """
    begin = 0
    if cursor > BEFORE:
        begin = at = cursor - BEFORE
        while (at := code.find("\n", at, cursor) + 1) > 0:
            if code[at : at + 1] not in (" ", "\t", "\n", "#", ")", "]", "}"):
                begin = at
                break
    return code[begin : cursor + AFTER], begin
