"""Output that no operation owns: what threads and children write after their operation has finished."""

from __future__ import annotations

from collections.abc import Callable

from sandbank_runner.v1.runner_pb2 import Background, FromRunner

MINUTE_BYTES = 1024 * 1024
"""How much is told in a minute; the rest is counted."""

_MINUTE_SECONDS = 60.0
_MESSAGE_BYTES = 64 * 1024


class BackgroundOutput:
    """Bounds and numbers it. ``tell`` returns False where nobody listens; then it is dropped and counted too."""

    def __init__(self, tell: Callable[[FromRunner], bool], clock: Callable[[], float]) -> None:
        self.sequence = 0
        self._tell = tell
        self._clock = clock
        self._minute = clock()
        self._told_bytes = 0
        self._dropped_bytes = 0

    def output(self, stream: int, data: bytes) -> None:
        """Tell what was written to ``stream``, as far as the bound allows."""
        now = self._clock()
        if now - self._minute >= _MINUTE_SECONDS:
            self._minute, self._told_bytes = now, 0
        kept = data[: min(MINUTE_BYTES - self._told_bytes, _MESSAGE_BYTES)]
        if kept:
            background = Background(
                stream=stream, data=kept, dropped_bytes=self._dropped_bytes, sequence=self.sequence + 1
            )
            if self._tell(FromRunner(background=background)):
                self.sequence += 1
                self._told_bytes += len(kept)
                self._dropped_bytes = 0
            else:
                kept = b""
        self._dropped_bytes += len(data) - len(kept)
