"""Signal handlers of user code wait while operations run beside each other.

Python runs handlers in the main thread, which is the runner's meanwhile. The signals are sent again when it is over:
they find everything blocked, and their handlers run with the next process operation, as after any signal that comes
between two.
"""

from __future__ import annotations

import os
from types import FrameType
from typing import Any

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.signals import EVERY, SIGINT, getsignal, setsignal

seal(globals())

_kill, _getpid = os.kill, os.getpid


class DeferredSignals:
    """The handlers of one interpreter."""

    __slots__ = ("_handlers", "_seen")

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._seen: set[int] = set()

    def cover(self) -> None:
        """Put ours in the place of those that are Python code. SIGINT's is ours already, or is put right before use."""
        for number in EVERY:
            if number != SIGINT and callable(handler := getsignal(number)) and not isinstance(handler, int):
                self._handlers[number] = handler
                setsignal(number, self._note)

    def uncover(self) -> None:
        """Put them back, and send what has come. Expects all signals to be blocked."""
        handlers, self._handlers = self._handlers, {}
        for number, handler in handlers.items():
            setsignal(number, handler)
        seen, self._seen = self._seen, set()
        for number in seen:
            _kill(_getpid(), number)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._seen.add(number)
