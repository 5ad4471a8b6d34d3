"""Memory that forks share with the template stays shared where nobody counts references to what lies in it.

To use an object is to write to it: its reference count. So a fork that runs a function copies the pages of the
function, its code, its module's names, though it changes none of them. Since Python 3.12 an object with a certain count
is immortal (PEP 683) and its count is never written. There is no function to make one so; the count is written in
place.

Only what is there before anything is preloaded: the runner, the standard library. That is never freed anyway; what
packages of a user's choice do when an object of theirs ends, they go on doing.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from array import array
from collections.abc import Iterable
from itertools import chain
from types import CodeType

_COUNT_BYTES = 4
"""The count is the lower half of the first field of an object."""
_AT_ONCE = 128
"""Objects dealt with at once: few, so that little memory is used meanwhile, most of which would not come back."""

_readv = ctypes.PyDLL(None, use_errno=True)["readv"]
_readv.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
_readv.restype = ctypes.c_ssize_t


def keep_shared() -> int:
    """Make all objects that there are immortal. Return how many were; 0 where this Python has no such objects.

    To be called once, by the only thread.
    """
    count = _immortal_count()
    if count is None or not _holds(count):
        return 0
    gc.collect()
    left = gc.get_objects()
    done, count_of = 0, sys.getrefcount
    while left:
        some = left[-_AT_ONCE:]
        del left[-_AT_ONCE:]
        done += _write(count, some)
        left += {id(each): each for each in _held_by(some) if count_of(each) != count}.values()
    gc.freeze()  # the collector has no business with what never ends
    return done


def _immortal_count() -> int | None:
    """Return the count that marks an immortal object: that of None. Before 3.12 None is counted as others are."""
    if sys.implementation.name != "cpython" or sys.byteorder != "little" or sys.maxsize < 1 << 32:
        return None
    if hasattr(sys, "gettotalrefcount") or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return None
    count = sys.getrefcount(None)
    return count if 1 << 31 <= count < 1 << 32 else None


def _holds(count: int) -> bool:
    """Tell whether an object with this count is taken for immortal, tried on one that means nothing."""
    trial = [object()]
    _write(count, trial)
    more = trial * 3
    return sys.getrefcount(trial[0]) == sys.getrefcount(more[0]) == count


def _held_by(objects: list[object]) -> Iterable[object]:
    """Return what objects hold, often the same many times: the collector tells of most, but not of all."""
    return chain(
        gc.get_referents(*objects),
        chain.from_iterable(each for each in objects if type(each) is dict),  # its keys
        chain.from_iterable(_parts(each) for each in objects if type(each) is CodeType),
    )


def _parts(code: CodeType) -> Iterable[object]:
    """Return what a code object holds that it shares with others; the collector does not look into one."""
    return (
        code.co_consts,
        code.co_names,
        code.co_filename,
        code.co_name,
        code.co_qualname,
        code.co_linetable,
        code.co_exceptiontable,
    )


def _write(count: int, objects: list[object]) -> int:
    """Write the count into at most ``_AT_ONCE`` objects, in two system calls; return how many they are."""
    vector = array("Q", bytes(16 * len(objects)))
    vector[0::2] = array("Q", map(id, objects))
    vector[1::2] = array("Q", [_COUNT_BYTES]) * len(objects)
    source, sink = os.pipe()
    try:
        size = os.write(sink, count.to_bytes(_COUNT_BYTES, "little") * len(objects))
        if _readv(source, vector.buffer_info()[0], len(objects)) != size:
            raise OSError(ctypes.get_errno(), "reference counts were not written")
    finally:
        os.close(source)
        os.close(sink)
    return len(objects)
