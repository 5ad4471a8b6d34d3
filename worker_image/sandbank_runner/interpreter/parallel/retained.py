"""What became of the names of merged operations that somebody still runs on.

A frame points to the globals that it began with, without owning them: the function that it runs does. So the dictionary
of an operation whose functions have been given other globals lives as long as any of those functions. It is emptied at
once, unless something may still run on it: a suspended generator or coroutine, a thread that the operation has left
behind. Those cannot be rebound, and are named; the dictionary is emptied when they are over.
"""

from __future__ import annotations

import sys
import weakref
from types import AsyncGeneratorType, CoroutineType, FrameType, FunctionType, GeneratorType
from typing import Any

from sandbank_runner.interpreter.sealed import seal

seal(globals())

_current_frames = sys._current_frames  # noqa: SLF001 - documented, whatever its name says
_weakref = weakref.ref

SUSPENDED = {GeneratorType: "gi_frame", CoroutineType: "cr_frame", AsyncGeneratorType: "ag_frame"}
"""What can be suspended, and where its frame is."""

Names = dict[str, Any]


class _Retained:
    """One dictionary."""

    __slots__ = ("functions", "is_empty", "names", "references", "suspended")

    def __init__(self, names: Names) -> None:
        self.names = names
        self.functions: set[int] = set()
        """Addresses of those that had it as their globals, and live."""
        self.references: list[Any] = []
        self.suspended: list[Any] = []
        self.is_empty = False


_all: dict[int, _Retained] = {}


def frame_of(value: object) -> FrameType | None:
    """Return the frame of a generator or coroutine that has not ended; None for anything else."""
    attribute = SUSPENDED.get(type(value))
    return None if attribute is None else getattr(value, attribute)


def keep(
    names: Names, functions: list[FunctionType], suspended: list[tuple[str, object]], *, is_shared: bool
) -> list[str]:
    """Keep ``names`` as long as it is needed; return the names of what still runs on it.

    ``suspended`` are generators and coroutines with the names that lead to them. ``is_shared``: somebody else has the
    dictionary, which therefore stays as it is.
    """
    kept = _Retained(names)
    key = id(names)
    for function in functions:
        kept.functions.add(id(function))
        kept.references.append(_weakref(function, _Drop(key, id(function))))
    left = [name for name, _ in suspended]
    left += _running(names)
    kept.suspended = [_weakref(item) for _, item in suspended]
    for name, item in suspended:
        if names.get(name) is item:  # or it would live as long as what lives for its sake
            del names[name]
    if kept.functions:
        _all[key] = kept
    if not left and not is_shared:
        _empty(kept)
    elif is_shared:
        kept.is_empty = True  # as far as we are concerned
    return sorted(set(left))


def sweep() -> None:
    """Empty the dictionaries that nothing runs on any more."""
    for kept in [kept for kept in _all.values() if not kept.is_empty]:
        if all(frame_of(item()) is None for item in kept.suspended) and not _running(kept.names):
            _empty(kept)


def _empty(kept: _Retained) -> None:
    kept.is_empty = True
    kept.names.clear()


class _Drop:
    """Told when a function has died."""

    __slots__ = ("_address", "_key")

    def __init__(self, key: int, address: int) -> None:
        self._key = key
        self._address = address

    def __call__(self, _reference: object) -> None:
        kept = _all.get(self._key)
        if kept is not None:
            kept.functions.discard(self._address)
            if not kept.functions:
                del _all[self._key]


def _running(names: Names) -> list[str]:
    """Return the functions that run on ``names`` in threads."""
    found = []
    for top in _current_frames().values():
        frame: FrameType | None = top
        while frame is not None:
            if frame.f_globals is names:
                found.append(frame.f_code.co_qualname)
            frame = frame.f_back
    return found
