"""Holding a sandbox to the bound of its background output: what it sends unasked must not flood the watchers."""

from __future__ import annotations

from collections.abc import Callable

from sandbank_runner.v1 import runner_pb2

from sandbank_server.runners.frames import RunnerViolation

MESSAGE_BYTES = 64 * 1024
MINUTE_BYTES = 4 * 1024 * 1024
"""An honest supervisor tells 1 MiB a minute, by its own clock; what a busy loop delays may come at once."""


class BackgroundMeter:
    """Checks the Background messages of one sandbox. ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._minute = clock()
        self._bytes = 0

    def check(self, background: runner_pb2.Background) -> None:
        """Raise :class:`RunnerViolation` for one that is malformed, or one too many."""
        size = len(background.data)
        if background.stream not in (1, 2) or size > MESSAGE_BYTES or background.dropped_bytes < 0:
            raise RunnerViolation("malformed background output")
        now = self._clock()
        if now - self._minute >= 60.0:
            self._minute, self._bytes = now, 0
        self._bytes += max(size, 1)  # empty ones are not free either
        if self._bytes > MINUTE_BYTES:
            raise RunnerViolation("a flood of background output")
