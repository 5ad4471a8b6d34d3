"""Securebits: what user 0 and set-user-id programs may mean to the kernel, locked for good."""

from __future__ import annotations

from sandbank_runner.walls.system_calls import process_control

_PR_SET_SECUREBITS = 28
_NO_ROOT, _NO_ROOT_LOCKED = 1 << 0, 1 << 1
_NO_AMBIENT_RAISE, _NO_AMBIENT_RAISE_LOCKED = 1 << 6, 1 << 7


def lock() -> None:
    """Make exec as user 0 give no capabilities, and ambient ones impossible, for good. Needs SETPCAP.

    KEEP_CAPS stays free, because the change of user that follows needs it. Raises OSError EPERM without
    SETPCAP, EINVAL on a kernel without securebits.
    """
    process_control(
        _PR_SET_SECUREBITS, _NO_ROOT | _NO_ROOT_LOCKED | _NO_AMBIENT_RAISE | _NO_AMBIENT_RAISE_LOCKED
    )
