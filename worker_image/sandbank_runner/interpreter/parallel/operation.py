"""One namespace operation, from its message to its end."""

from __future__ import annotations

import ctypes
from _thread import RLock
from collections import OrderedDict
from collections.abc import Callable
from contextvars import Context
from types import CodeType
from typing import TYPE_CHECKING, Any, Final, Protocol

from sandbank_runner.interpreter.execution import Outcome
from sandbank_runner.interpreter.parallel.names import Branch
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.source import Sources

if TYPE_CHECKING:
    import asyncio

    from sandbank_runner.interpreter.parallel.mutations import Fingerprints
    from sandbank_runner.interpreter.parallel.output import OperationOutput

seal(globals())

_raise_in_thread = ctypes.PyDLL(None)["PyThreadState_SetAsyncExc"]
_raise_in_thread.argtypes = [ctypes.c_ulong, ctypes.py_object]
_raise_in_thread.restype = ctypes.c_int
_raise_nothing_in_thread = ctypes.PyDLL(None)["PyThreadState_SetAsyncExc"]
_raise_nothing_in_thread.argtypes = [ctypes.c_ulong, ctypes.c_void_p]
_raise_nothing_in_thread.restype = ctypes.c_int

_GUARD_SECONDS: Final = 0.05
"""How long an interrupt waits for the operation to come out of the runner's code; it is repeated anyway."""
_CHAIN: Final = 100
"""How many links of an exception's history are searched for the interrupt."""


class Loops(Protocol):
    """What can be done about the event loops of threads."""

    def is_idle(self, loop: asyncio.AbstractEventLoop, thread: int) -> bool:
        """Tell whether it is at work itself, in no task and in no callback of the user's."""

    def wake(self, thread: int) -> None:
        """Have the loop that runs in a thread look up."""


class Interrupt(KeyboardInterrupt):
    """What is raised in the thread of an operation that is interrupted: to user code, a KeyboardInterrupt."""


Interrupt.__name__ = Interrupt.__qualname__ = "KeyboardInterrupt"
Interrupt.__module__ = "builtins"


class NamespaceOperation:
    """What is known of one. Its thread and the main thread share it."""

    branch: Branch
    context: Context
    source: bytes
    sources: Sources
    output: OperationOutput
    fingerprints: Fingerprints

    def __init__(self, operation: str, execution_count: int) -> None:
        self.operation = operation
        self.cell = f"<cell {execution_count}>"
        self.is_prepared = False
        """It has all that it needs to run."""
        self.is_open = True
        self.is_alone = True
        """No other has run beside it."""
        self.wakers: list[Callable[[], None]] = []
        self.guard = RLock()
        """Held by code of the runner's, in any thread of the operation, that an interrupt must not break off. Entered
        again where an object's end, which is user code, writes something in the midst of it."""
        self.outcome = Outcome()
        self.code: list[CodeType] = []
        """What it was compiled to."""
        self.is_compiling = True
        self.last: Any = None
        """The value of the last expression."""
        self.touched: set[str] = set()
        """Names that it bound or deleted; known at its end."""
        self.mutated: set[str] = set()
        """Names of shared containers that it changed in place, as far as that was seen; known at its end."""
        self.written: set[str] = set()
        """Names that were written to the session directly while it ran."""
        self.streams: dict[str, Any] = {}
        """What it has put in the place of standard streams, by name."""
        self.shown: set[int] = set()
        """Identities of figures shown in it."""
        self.figures: OrderedDict[Any, Any] = OrderedDict()
        """Figures that pyplot has open in it."""
        self.cpu_seconds = 0.0
        self.thread = self.native_thread = 0
        self.was_cancelled = False
        """The interrupt has cancelled the task that runs the cell."""
        self._can_be_interrupted = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None

    def let_go(self) -> None:
        """Drop what it bound. The end of objects is user code."""
        self.last = None
        self.branch.let_go()
        self.figures.clear()
        self.streams.clear()

    def forget(self) -> None:
        """Drop what it held besides: the session may have dropped it already."""
        self.let_go()
        self.fingerprints.forget()
        self.branch.forget()

    def renew_guard(self) -> None:
        """In a forked process: another thread may have held it."""
        self.guard = RLock()

    # In its thread.

    def open(self) -> None:
        """User code begins: from here on an interrupt may come at any time."""
        self._can_be_interrupted = True

    def shut(self) -> None:
        """User code has ended: from here on none comes. One that is on its way is raised, here at the latest."""
        with self.guard:
            breathe()
            self._can_be_interrupted = False
            _raise_nothing_in_thread(self.thread, None)

    def attach(self, loop: asyncio.AbstractEventLoop | None, task: asyncio.Task[Any] | None) -> None:
        """Tell which loop runs in the thread, and which task runs the cell; None: none does any more."""
        self._loop, self._task = loop, task

    def is_interrupted_by(self, error: BaseException | None) -> bool:
        """Tell whether ``error`` comes of an interrupt."""
        for _ in range(_CHAIN):
            if error is None or type(error) is Interrupt:
                break
            error = error.__cause__ or error.__context__
        return error is not None

    # In the main thread.

    def interrupt(self, loops: Loops) -> bool:
        """Raise KeyboardInterrupt in its thread, or cancel its task where the loop is idle. False: past user code.

        What waits in C code is woken where that can be done.
        """
        if not self.guard.acquire(timeout=_GUARD_SECONDS):
            return False
        try:
            if not self._can_be_interrupted:
                return False
            loop, task = self._loop, self._task
            if loop is not None and task is not None and loops.is_idle(loop, self.thread):
                self.was_cancelled = True
                loop.call_soon_threadsafe(task.cancel)
                return True
            _raise_in_thread(self.thread, Interrupt)
        finally:
            self.guard.release()
        for wake in list(self.wakers):
            wake()
        loops.wake(self.thread)
        return True


def breathe() -> None:
    """Let an interrupt that is on its way be raised now: what follows, while the guard is held, is not broken off."""
