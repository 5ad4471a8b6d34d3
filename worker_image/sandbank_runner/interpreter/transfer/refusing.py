"""Why a value is not taken in."""

from __future__ import annotations

from typing import Final

from sandbank_runner.interpreter.sealed import seal

seal(globals())

BAD_FIELD: Final = "BAD_FIELD"
TOO_LARGE: Final = "TOO_LARGE"
FORMAT_UNAVAILABLE: Final = "FORMAT_UNAVAILABLE"
SESSION_BUSY: Final = "SESSION_BUSY"


class Refused(Exception):
    """``reason`` is one of the public API's, the text a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
