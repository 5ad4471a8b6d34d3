"""What a reader gives up before it looks at anything: whatever it still shared with the interpreter that goes on.

Each step is for itself: an audit hook of the user's may refuse one, which spoils that and not the read. The sandbox's
walls, which the copy has inherited, do not depend on any of it.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from functools import partial

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.walls import landlock, process_flags

seal(globals())

MEMORY_BYTES = 512 * 1024 * 1024
"""What a reader may take beyond what the interpreter has: a ``repr`` of gigabytes ends in MemoryError."""

_close, _dup2, _open, _lseek, _fstat = os.close, os.dup2, os.open, os.lseek, os.fstat
_listdir, _setsid, _setresuid = os.listdir, os.setsid, os.setresuid
_O_RDWR, _O_RDONLY, _O_CLOEXEC, _O_NONBLOCK = os.O_RDWR, os.O_RDONLY, os.O_CLOEXEC, os.O_NONBLOCK
_closerange = os.closerange
_setrlimit, _getrlimit = resource.setrlimit, resource.getrlimit
_PROCESSES, _ADDRESSES, _NO_LIMIT = resource.RLIMIT_NPROC, resource.RLIMIT_AS, resource.RLIM_INFINITY
_PAGE_BYTES = resource.getpagesize()
_die_with_parent, _set_name = process_flags.die_with_parent, process_flags.set_name
_landlock_version, _make_ruleset = landlock.version, landlock.make_ruleset
_S_IFMT, _S_IFREG = 0o170000, 0o100000
_HIGHEST = 1 << 20


def give_up(
    channel: int, users: tuple[int, int] | None, *, name: str = "reader", memory: int = MEMORY_BYTES
) -> None:
    """Let go of everything but ``channel``, and take at most ``memory`` bytes more. Does not raise.

    ``users`` are those of code and of sleepers, where there are such: a sleeper's copy becomes user code again.
    """
    for step in (
        _setsid,  # a process group of its own, which can be ended as a whole
        lambda: _become(users),
        _die_with_parent,  # after a change of user, which may forget it
        lambda: _let_go(channel),
        lambda: _limit(memory),
        _forbid_writing,
        lambda: _set_name(name),
    ):
        _try(step)


def _try(step: Callable[[], object]) -> None:
    try:  # noqa: SIM105 - contextlib looks builtins up
        step()
    except BaseException:  # noqa: S110 - see above
        pass


def _become(users: tuple[int, int] | None) -> None:
    if users is not None:
        _setresuid(users[0], users[0], users[1])


def _limit(memory: int) -> None:
    _try(lambda: _setrlimit(_PROCESSES, (0, 0)))  # neither threads nor children: nothing outlives the reader
    with open("/proc/self/statm", "rb", buffering=0) as file:
        limit = int(file.read(100).split()[0]) * _PAGE_BYTES + memory
    _, hard = _getrlimit(_ADDRESSES)
    if hard != _NO_LIMIT:
        limit = min(limit, hard)
    _setrlimit(_ADDRESSES, (limit, limit))


def _forbid_writing() -> None:
    """Where the kernel can, keep the copy from changing files and from signalling anybody."""
    version = _landlock_version()
    if version:
        ruleset = _make_ruleset(version, writable=(), readable=("/",), devices=("/dev/null",))
        try:
            ruleset.enter()
        finally:
            _close(ruleset.descriptor)


def _let_go(channel: int) -> None:
    """Close pipes, sockets and the like; open regular files anew, for reading only.

    A copy that read from a pipe, wrote to a socket or moved the offset that it shares with the interpreter would change
    the session. What the reader prints goes nowhere.
    """
    try:
        nothing = _open("/dev/null", _O_RDWR | _O_CLOEXEC)
        numbers = [int(name) for name in _listdir("/proc/self/fd")]
    except BaseException:
        _closerange(0, channel)
        _closerange(channel + 1, _HIGHEST)
        raise
    for number in numbers:
        if number in (channel, nothing):
            continue
        if number <= 2:
            _dup2(nothing, number)
            continue
        try:
            if _fstat(number).st_mode & _S_IFMT == _S_IFREG:
                _reopen(number)
                continue
        except OSError:
            pass
        _try(partial(_close, number))


def _reopen(number: int) -> None:
    """Put a descriptor of its own in the place of one whose offset is shared. OSError where that cannot be."""
    fresh = _open(f"/proc/self/fd/{number}", _O_RDONLY | _O_CLOEXEC | _O_NONBLOCK)
    try:
        _lseek(fresh, _lseek(number, 0, 1), 0)
        _dup2(fresh, number, False)
    finally:
        _close(fresh)
