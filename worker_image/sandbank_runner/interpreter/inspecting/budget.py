"""User code under the time that one answer has: what it raises, or does not finish, is no answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from sandbank_runner.interpreter.reading.patience import Patience, TookTooLong
from sandbank_runner.interpreter.sealed import seal

seal(globals())

SECONDS: Final = 2.0
"""What all user code of one answer may take."""
STEP_SECONDS: Final = 1.0
"""What one step of it may take."""

_monotonic = time.monotonic


class Budget:
    """What is left. ``bare``: no user code is to run at all."""

    def __init__(self, patience: Patience, *, bare: bool, seconds: float = SECONDS) -> None:
        self.bare = bare
        self._patience = patience
        self._left = 0.0 if bare else seconds

    def call(self, function: Callable[..., Any], *arguments: Any, otherwise: Any = None) -> Any:
        """Return what ``function`` returns; ``otherwise`` where it raises, takes too long, or must not run."""
        if self._left <= 0:
            return otherwise
        begin = _monotonic()
        try:
            return self._patience.call(function, *arguments, seconds=min(STEP_SECONDS, self._left))
        except TookTooLong:
            return otherwise
        except BaseException:  # whatever user code raises
            return otherwise
        finally:
            self._left -= _monotonic() - begin
