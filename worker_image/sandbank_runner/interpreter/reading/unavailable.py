"""What a read cannot have."""

from __future__ import annotations

from sandbank_runner.interpreter.sealed import seal

seal(globals())


class Unavailable(Exception):
    """There is no such form of the value. ``reason`` is ``format`` or ``too_large``."""

    def __init__(self, reason: str, message: str, size: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.size = size
