"""What a log line is about: ids of the request, tenant, session, sandbox and operation at hand.

One context variable holds them all as one small mapping, because it is set once for every call: a
variable per id would cost several times as much.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_current: ContextVar[Mapping[str, str]] = ContextVar("sandbank_log_context", default=_NOTHING)

CONTEXT_KEYS: Final = ("request_id", "tenant", "session_id", "sandbox_id", "operation_id")


def current_context() -> Mapping[str, str]:
    """Return the ids bound in this task."""
    return _current.get()


def set_context(ids: Mapping[str, str]) -> None:
    """Replace the ids of this task, for good: for the start of a task that does one thing. Keeps ``ids``."""
    _current.set(ids)


def add_context(**ids: str) -> None:
    """Add ids for the rest of this task."""
    _current.set({**_current.get(), **ids})


@contextmanager
def log_context(**ids: str) -> Iterator[None]:
    """Add ids for a block."""
    token = _current.set({**_current.get(), **ids})
    try:
        yield
    finally:
        _current.reset(token)
