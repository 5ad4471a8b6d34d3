"""SIGINT: it ends user code and nothing else.

Every signal is blocked while the runner's own code runs, and one that came meanwhile is dropped before user code
starts: a late interrupt of one operation cannot hit the next. The supervisor sends SIGINT only where it finds it
unblocked, so none that was meant for this operation is dropped.

The handler raises KeyboardInterrupt at the line that runs. Where that line is the event loop's own, the cell's task is
cancelled instead: an exception in the middle of the loop's bookkeeping would break it for the cells to come.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.signals import (
    EVERY,
    SIG_SETMASK,
    SIGINT,
    getsignal,
    setsignal,
    sigmask,
    sigtimedwait,
)

if TYPE_CHECKING:
    import asyncio

seal(globals())

_LOOP_MODULES = frozenset(
    ["asyncio.base_events", "asyncio.events", "asyncio.runners", "asyncio.unix_events", "selectors"]
)
_INTERRUPT = frozenset([SIGINT])
_NEVER = float("-inf")
_SAME_SECONDS = 1.0
"""The supervisor repeats an interrupt: the first may have come just before a system call, which then sleeps on. Within
this time it is the same one, and does not hit the ``finally`` of what it has interrupted already."""
_CHAIN = 100
"""How many links of an exception's history are searched for the interrupt."""


class Interrupts:
    """The state of one interpreter's SIGINT.

    ``active`` is true while user code runs. Its caller sets it, and shuts signals out where user code ends: a call of
    this class is a moment too long, for a handler of the user's may raise in any call of Python code.
    """

    __slots__ = (
        "_handler",
        "_late",
        "_loop",
        "_mask",
        "_task",
        "_when",
        "active",
        "cancelled",
        "left_mask",
        "raised",
    )

    def __init__(self) -> None:
        self.active = False
        self.raised: KeyboardInterrupt | None = None
        """What the handler raised last in this operation."""
        self.cancelled = False
        """The handler cancelled the cell's task."""
        self._late = False
        """One came when user code was just left: it counts where the operation has more of that to run."""
        self._when = _NEVER
        """When the last one that counted came, monotonic."""
        self.left_mask: AbstractSet[int] = EVERY
        self._mask: AbstractSet[int] = frozenset()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._handler = self._on_signal

    def install(self) -> None:
        """Take over SIGINT. Expects it to be blocked; leaves all signals blocked."""
        sigmask(SIG_SETMASK, EVERY)
        setsignal(SIGINT, self._handler)

    def forget(self) -> None:
        """Drop what was sent before: to be called before an operation starts."""
        if getsignal(SIGINT) is not self._handler:
            setsignal(SIGINT, self._handler)
        while sigtimedwait(_INTERRUPT, 0) is not None:
            pass
        self.raised = None
        self.cancelled = False
        self._late = False
        self._when = _NEVER

    def open(self) -> None:
        """Let signals in, with the mask that user code left. ``active`` is set before; KeyboardInterrupt may come."""
        sigmask(SIG_SETMASK, self._mask)
        if self._late:
            self._late = False
            self._interrupt()

    def keep_mask(self) -> None:
        """Remember the mask that user code has left; ``left_mask`` is what shutting signals out has replaced."""
        left, self.left_mask = self.left_mask, EVERY
        if SIGINT not in left:
            self._mask = left
        elif len(left) < len(EVERY):
            self._mask = left - _INTERRUPT  # blocked by user code: not for the next operation

    @property
    def mask(self) -> AbstractSet[int]:
        """The signals that user code has blocked."""
        return self._mask

    def attach(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        """Tell which task runs the cell."""
        self._loop, self._task = loop, task

    def detach(self) -> None:
        """The task is over."""
        self._loop = self._task = None

    def ended(self, error: BaseException | None) -> bool:
        """Tell whether ``error`` comes of an interrupt."""
        raised = self.raised
        if raised is None:
            return False
        for _ in range(_CHAIN):
            if error is None or error is raised:
                break
            error = error.__cause__ or error.__context__
        return error is raised

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self.active:
            self._late = True
            return
        now = monotonic()
        if now - self._when < _SAME_SECONDS:
            return
        self._when = now
        loop, task = self._loop, self._task
        if loop is not None and task is not None and belongs_to_loop(loop, frame):
            self.cancelled = True
            loop.call_soon_threadsafe(task.cancel)
            return
        self._interrupt()

    def _interrupt(self) -> NoReturn:
        self.raised = KeyboardInterrupt()
        raise self.raised


def belongs_to_loop(loop: asyncio.AbstractEventLoop, frame: FrameType | None) -> bool:
    """Tell whether the loop is at work itself, in no task and in no callback of the user's."""
    from asyncio import current_task

    return current_task(loop) is None and (frame is None or frame.f_globals.get("__name__") in _LOOP_MODULES)
