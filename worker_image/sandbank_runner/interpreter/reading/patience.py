"""User code under a time limit, as far as a signal reaches: what sits in C code or blocks it is ended from outside.

For a reader only: it takes over SIGALRM and the real-time timer of its process for good.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
from collections.abc import Callable
from typing import Any

from sandbank_runner.interpreter.sealed import give_back, put_back, seal
from sandbank_runner.interpreter.signals import EVERY, SIG_SETMASK, setsignal, sigmask

seal(globals())

_SIGALRM: int = int(_signal.SIGALRM)
_REAL: int = _signal.ITIMER_REAL
_setitimer = _signal.setitimer
_REPEAT_SECONDS = 0.05
"""User code may swallow the exception: it comes again and again."""
_OPEN = EVERY - {_SIGALRM}


class TookTooLong(BaseException):
    """The time is over. No :class:`Exception`: what goes on after any error is to stop too."""


class Patience:
    """Calls user code, with the builtins as user code has left them; outside it they are the original ones."""

    __slots__ = ("_active", "_is_over", "_users_builtins")

    def __init__(self, users_builtins: dict[str, Any] | None) -> None:
        """``users_builtins`` is what :func:`put_back` has returned."""
        self._active = False
        self._is_over: Callable[[], bool] = _at_once
        self._users_builtins = users_builtins
        setsignal(_SIGALRM, self._ring)

    def call(self, function: Callable[..., Any], *arguments: Any, seconds: float) -> Any:
        """Return what ``function`` returns. Raises :class:`TookTooLong`, and whatever user code raises."""
        self._is_over = _at_once
        return self._call(function, arguments, seconds)

    def watch(self, function: Callable[..., Any], *arguments: Any, is_over: Callable[[], bool]) -> Any:
        """Do the same until ``is_over``, which is asked again and again from a signal handler."""
        self._is_over = is_over
        return self._call(function, arguments, _REPEAT_SECONDS)

    def _call(self, function: Callable[..., Any], arguments: tuple[Any, ...], seconds: float) -> Any:
        try:
            give_back(self._users_builtins)
            self._active = True
            _setitimer(_REAL, seconds, _REPEAT_SECONDS)
            sigmask(SIG_SETMASK, _OPEN)
            return function(*arguments)
        finally:
            self._active = False  # from here on the signal is ignored, should it still come
            sigmask(SIG_SETMASK, EVERY)
            _setitimer(_REAL, 0, 0)
            put_back()

    def _ring(self, *_: object) -> None:
        if self._active and self._is_over():
            raise TookTooLong


def _at_once() -> bool:
    return True
