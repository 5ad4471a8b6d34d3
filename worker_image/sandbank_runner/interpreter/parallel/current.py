"""Which operation the code that asks belongs to.

Three ways lead to the one: the context variable (a task, ``asyncio.to_thread``), the thread (the operation's own, and
those that it started), and, for everything else, the process operation that runs, if one does.
"""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable
from contextvars import ContextVar
from typing import Protocol

from sandbank_runner.interpreter.sealed import seal

seal(globals())


class Owner(Protocol):
    """What is known of a namespace operation here."""

    operation: str
    """Its id."""
    is_open: bool
    """Its user code has not ended: what comes now is its own."""
    wakers: list[Callable[[], None]]
    """To be called, from another thread, when it is interrupted: its thread may wait in C code."""


_OWNER: ContextVar[Owner | None] = ContextVar("sandbank operation", default=None)
_of_context, _set_context = _OWNER.get, _OWNER.set
_of_thread: dict[int, Owner] = {}
_get_thread = _of_thread.get
_ident = get_ident
_process_operation: str | None = None
_is_active = False


def namespace_operation() -> Owner | None:
    """Return the namespace operation that the calling code belongs to; None where it belongs to none."""
    if not _is_active:
        return None
    owner = _of_context()
    if owner is None:
        owner = _get_thread(_ident())
    return owner if owner is not None and owner.is_open else None


def operation_id() -> str | None:
    """Return the id of the operation that the calling code belongs to; None between operations."""
    owner = namespace_operation()
    return _process_operation if owner is None else owner.operation


def set_process_operation(operation: str | None) -> None:
    """Say which process operation runs; None: none does."""
    global _process_operation  # noqa: PLW0603 - one interpreter, one of these
    _process_operation = operation


def enter(owner: Owner) -> None:
    """Let the calling thread, and its context, belong to an operation."""
    _of_thread[_ident()] = owner
    _set_context(owner)


def leave() -> None:
    """Let the calling thread belong to none."""
    _of_thread.pop(_ident(), None)


class Waking:
    """While entered, an interrupt of the operation calls ``wake``, from another thread.

    For whoever lets user code wait in C code, where the exception that interrupts does not reach it: what is waited for
    must end with that call, or be looked after from time to time. In a process operation a signal does it.
    """

    __slots__ = ("_owner", "_wake")

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._owner = namespace_operation()

    def __enter__(self) -> None:
        if self._owner is not None:
            self._owner.wakers.append(self._wake)

    def __exit__(self, *_: object) -> None:
        if self._owner is not None:
            self._owner.wakers.remove(self._wake)


class Outside:
    """While entered, the calling thread belongs to no operation: for what is the whole session's."""

    __slots__ = ("_owner",)

    def __enter__(self) -> None:
        self._owner = namespace_operation()
        if self._owner is not None:
            leave()
            _set_context(None)

    def __exit__(self, *_: object) -> None:
        if self._owner is not None:
            enter(self._owner)


def begin() -> None:
    """Namespace operations run from here on."""
    global _is_active  # noqa: PLW0603
    _is_active = True


def end() -> None:
    """None runs any more; or this is a process that user code forked: it has no say on the channel, and so no part."""
    global _is_active  # noqa: PLW0603
    _is_active = False
