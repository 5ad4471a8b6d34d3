"""Landlock: which files user code may write and read, whatever their permissions say; and whom it may signal.

A ruleset is made once, in the template, and entered by each fork: entering costs microseconds and cannot be
undone. Rules name directories that exist when the ruleset is made. What they do not name can still be found
and described (``stat``), but neither opened nor changed.

Landlock also keeps processes inside from tracing those outside, and from version 6 on from signalling them
and from connecting to their abstract sockets. ``/proc`` is readable only, so nobody inside lowers an
``oom_score_adj``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from sandbank_runner.walls.numbers import number_of
from sandbank_runner.walls.system_calls import system_call

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_VERSION_1 = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1 << 0, 1 << 1

_READ = _EXECUTE | _READ_FILE | _READ_DIR
_USE_DEVICE = _READ_FILE | _READ_DIR | _WRITE_FILE | _TRUNCATE | _IOCTL_DEVICE
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

_SINCE = ((2, "landlock-rename"), (3, "landlock-truncate"), (5, "landlock-ioctl"), (6, "landlock-scope"))
"""Parts that came with a version, by the name under which they are reported missing. Before version 2 the
kernel refuses to rename or link from one directory into another; before 6 signals are left to users and the
filter."""


def version() -> int:
    """Return the kernel's Landlock version, 0 where there is none or it is switched off."""
    try:
        return system_call(number_of("landlock_create_ruleset"), 0, 0, _CREATE_RULESET_VERSION)
    except OSError:
        return 0


def missing_parts(abi: int) -> list[str]:
    """Return the names of what version ``abi`` does not have."""
    return [name for since, name in _SINCE if abi < since] if abi else ["landlock"]


@dataclass(frozen=True, slots=True)
class Ruleset:
    """A ruleset that can be entered. ``descriptor`` must stay open until then and be closed after it."""

    descriptor: int

    def enter(self) -> None:
        """Restrict the calling thread and its descendants for good. Needs no_new_privs. Raises OSError."""
        system_call(number_of("landlock_restrict_self"), self.descriptor, 0)


def make_ruleset(
    abi: int, *, writable: Iterable[str], readable: Iterable[str], devices: Iterable[str] = ()
) -> Ruleset:
    """Make a ruleset for version ``abi`` (at least 1); paths that do not exist are left out.

    ``devices`` are files or directories of character devices, which may be read, written and controlled.
    Raises OSError for what else is wrong: a rule that could not be added is a hole in neither direction that
    anyone wants.
    """
    handled = _VERSION_1
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEVICE)):
        handled |= right if abi >= since else 0
    scoped = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS if abi >= 6 else 0
    # handled_access_fs, handled_access_net (version 4), scoped (version 6): no longer than the kernel knows.
    attributes = struct.pack("QQQ", handled, 0, scoped)[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    descriptor = system_call(
        number_of("landlock_create_ruleset"), ctypes.addressof(buffer), len(attributes), 0
    )
    try:
        for paths, rights in (
            (readable, _READ),
            (devices, _USE_DEVICE),
            (writable, handled & ~(_MAKE_CHAR | _MAKE_BLOCK)),
        ):
            for path in paths:
                _allow(descriptor, path, rights & handled)
    except BaseException:
        os.close(descriptor)
        raise
    return Ruleset(descriptor)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP):
            return
        raise
    try:
        if not stat.S_ISDIR(os.fstat(beneath).st_mode):
            rights &= _ON_FILES
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, beneath))
        system_call(number_of("landlock_add_rule"), ruleset, _RULE_PATH_BENEATH, ctypes.addressof(rule), 0)
    finally:
        os.close(beneath)
