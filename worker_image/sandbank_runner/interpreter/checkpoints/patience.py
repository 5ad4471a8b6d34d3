"""User code under a time limit that counts only while nothing comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from sandbank_runner.interpreter.reading.patience import Patience, TookTooLong
from sandbank_runner.interpreter.sealed import seal

seal(globals())

STALL_SECONDS: Final = 3.0
_monotonic = time.monotonic


class Watch:
    """Calls what may run user code."""

    __slots__ = ("_patience",)

    def __init__(self, users_builtins: dict[str, Any] | None) -> None:
        self._patience = Patience(users_builtins)

    def call(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        progress: Callable[[], int],
        seconds: float | None = None,
    ) -> Any:
        """Return what ``function`` returns.

        ``TookTooLong`` where ``progress`` stands still for :data:`STALL_SECONDS`, or after ``seconds`` in all.
        """
        begin = _monotonic()
        mark = [progress(), begin]

        def is_over() -> bool:
            now, done = _monotonic(), progress()
            if seconds is not None and now - begin > seconds:
                return True
            if done != mark[0]:
                mark[:] = [done, now]
            return now - mark[1] > STALL_SECONDS

        return self._patience.watch(function, *arguments, is_over=is_over)


__all__ = ["STALL_SECONDS", "TookTooLong", "Watch"]
