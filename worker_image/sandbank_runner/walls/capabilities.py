"""Capabilities of the calling thread: permitted, effective, inheritable, ambient, bounding.

Capabilities belong to threads, so everything here is called while the process has one.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterable

from sandbank_runner.walls.numbers import number_of
from sandbank_runner.walls.system_calls import process_control, system_call

KILL, SETGID, SETUID, SETPCAP = 5, 6, 7, 8

_VERSION_3 = 0x2008_0522
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_HIGHEST = 63


def _mask(capabilities: Iterable[int]) -> int:
    return sum(1 << capability for capability in set(capabilities))


def keep_only(capabilities: Iterable[int] = ()) -> None:
    """Make permitted and effective exactly ``capabilities``, inheritable empty.

    Raises OSError EPERM when one of them is not permitted now: permitted can only shrink.
    """
    mask = _mask(capabilities)
    low, high = mask & 0xFFFF_FFFF, mask >> 32
    header = ctypes.create_string_buffer(struct.pack("Ii", _VERSION_3, 0))
    data = ctypes.create_string_buffer(struct.pack("6I", low, low, 0, high, high, 0))
    system_call(number_of("capset"), ctypes.addressof(header), ctypes.addressof(data))


def held() -> tuple[int, int, int]:
    """Return (effective, permitted, inheritable) as bit masks."""
    header = ctypes.create_string_buffer(struct.pack("Ii", _VERSION_3, 0))
    data = ctypes.create_string_buffer(24)
    system_call(number_of("capget"), ctypes.addressof(header), ctypes.addressof(data))
    low_e, low_p, low_i, high_e, high_p, high_i = struct.unpack("6I", data.raw[:24])
    return low_e | high_e << 32, low_p | high_p << 32, low_i | high_i << 32


def empty_bounding_set() -> None:
    """Drop every capability from the bounding set, so that no program file can give one. Needs SETPCAP."""
    for capability in range(_HIGHEST + 1):
        try:
            present = process_control(_PR_CAPBSET_READ, capability)
        except OSError as error:
            if error.errno == errno.EINVAL:  # beyond the last one that this kernel knows
                return
            raise
        if present:
            process_control(_PR_CAPBSET_DROP, capability)


def clear_ambient_set() -> None:
    """Empty the ambient set: nothing survives an exec by itself."""
    process_control(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
