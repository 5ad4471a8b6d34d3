"""The user's open descriptors, looked at once per snapshot: a fork shares what they stand for."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from stat import S_IFCHR, S_IFDIR, S_IFIFO, S_IFMT, S_IFREG, S_IFSOCK

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.snapshots.kernel import contents, numbers_in

seal(globals())

_fstat, _readlink, _get_inheritable = os.fstat, os.readlink, os.get_inheritable
_major = os.major
_kind_of = S_IFMT
_REGULAR, _DIRECTORY, _PIPE, _SOCKET, _DEVICE = S_IFREG, S_IFDIR, S_IFIFO, S_IFSOCK, S_IFCHR
_TERMINALS = frozenset([*range(136, 144)])
"""Major numbers of pseudo-terminals."""
_TERMINAL_MASTER = os.makedev(5, 2)
_ACCESS = os.O_ACCMODE


@dataclass(slots=True)
class OpenFile:
    """A regular file or directory; offset and flags are shared by all that have it open from before a fork."""

    descriptor: int
    offset: int
    flags: int
    device: int
    inode: int


@dataclass(slots=True)
class Stream:
    """A pipe, socket or terminal: what a sleeper must let go of."""

    descriptor: int
    inheritable: bool
    kind: str
    identity: tuple[int, int]


@dataclass(slots=True)
class Epoll:
    """An epoll instance and what is registered with it: (descriptor, events, data) each."""

    descriptor: int
    inheritable: bool
    registered: list[tuple[int, int, int]]


@dataclass(slots=True)
class Descriptors:
    """All of them by what is to be done about them."""

    files: list[OpenFile] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    epolls: list[Epoll] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)
    """Paths of files that this process holds ``fcntl`` locks on."""
    clocks: list[str] = field(default_factory=list)
    """Timers and other counters that are descriptors."""

    def writes(self) -> bool:
        """Tell whether a regular file is open for writing."""
        return any(file.flags & _ACCESS for file in self.files)


def look(own: Collection[int | None], pipes: Collection[tuple[int, int]]) -> Descriptors:
    """Look at all descriptors but the runner's ``own`` and further ones of its ``pipes``, given by device and inode."""
    found = Descriptors()
    for descriptor in numbers_in(b"/proc/self/fd"):
        if descriptor in own:
            continue
        try:
            _look_at(descriptor, found, pipes)
        except OSError:
            continue  # not to be understood: then it stays as it is
    return found


def _look_at(descriptor: int, found: Descriptors, pipes: Collection[tuple[int, int]]) -> None:
    status = _fstat(descriptor)
    kind = _kind_of(status.st_mode)
    if kind in (_REGULAR, _DIRECTORY):
        lines = _described(descriptor)
        found.files.append(
            OpenFile(descriptor, int(lines[b"pos"]), int(lines[b"flags"], 8), status.st_dev, status.st_ino)
        )
        if b"POSIX" in lines.get(b"lock", b""):
            found.locked.append(_readlink(f"/proc/self/fd/{descriptor}"))
    elif kind in (_PIPE, _SOCKET) or (kind == _DEVICE and _is_terminal(status.st_rdev)):
        identity = (status.st_dev, status.st_ino)
        if identity not in pipes:
            name = "pipe" if kind == _PIPE else "socket" if kind == _SOCKET else "terminal"
            found.streams.append(Stream(descriptor, _get_inheritable(descriptor), name, identity))
    elif kind == 0:
        name = _readlink(f"/proc/self/fd/{descriptor}").removeprefix("anon_inode:")
        if name == "[eventpoll]":
            found.epolls.append(Epoll(descriptor, _get_inheritable(descriptor), _registered(descriptor)))
        elif name in ("[timerfd]", "[eventfd]", "inotify"):
            found.clocks.append(f"descriptor {descriptor} ({name.strip('[]')})")


def _is_terminal(device: int) -> bool:
    return device == _TERMINAL_MASTER or _major(device) in _TERMINALS


def _described(descriptor: int) -> dict[bytes, bytes]:
    lines = contents(b"/proc/self/fdinfo/%d" % descriptor).splitlines()
    return {name: value for name, _, value in [line.partition(b":") for line in lines]}


def _registered(descriptor: int) -> list[tuple[int, int, int]]:
    found = []
    for line in contents(b"/proc/self/fdinfo/%d" % descriptor).splitlines():
        if line.startswith(b"tfd:"):
            words = line.replace(b":", b" ").split()
            values = {words[at]: words[at + 1] for at in range(0, len(words) - 1, 2)}
            found.append((int(values[b"tfd"]), int(values[b"events"], 16), int(values[b"data"], 16)))
    return found
