"""The sleeper's part: it gets out of the live interpreter's way, waits, and becomes the live one when it is told to."""

from __future__ import annotations

import _socket
import os
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from sandbank_runner.interpreter.link import Link
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.snapshots import epolls, files, losses, multiprocess
from sandbank_runner.interpreter.snapshots.descriptors import Stream
from sandbank_runner.interpreter.snapshots.record import Record
from sandbank_runner.walls import process_flags

seal(globals())

_dup2, _close = os.dup2, os.close
_setresuid, _setsid = os.setresuid, os.setsid
_socketpair, _UNIX, _STREAM = _socket.socketpair, int(_socket.AF_UNIX), int(_socket.SOCK_STREAM)
_die_with_parent = process_flags.die_with_parent

Handler = Callable[[dict[str, Any], tuple[bytes, ...]], None]


class Hooks(Protocol):
    """What other parts of the interpreter do in a sleeper."""

    sleeper_handlers: dict[str, Handler]
    files_since_snapshot: Callable[[], tuple[list[list[Any]], bool]]


class Sleeper:
    """One process that was forked off, from its first moment to its waking."""

    def __init__(
        self,
        link: Link,
        users: tuple[int, int] | None,
        copies: tuple[tuple[int, int], ...],
        reborn: Callable[[], None],
        hooks: Hooks,
    ) -> None:
        self._link = link
        self._users = users
        self._copies = copies
        self._reborn = reborn
        self._hooks = hooks

    def sleep(self, snapshot: int, channel: int, record: Record) -> None:
        """Sleep, and return as the live interpreter. Ends with its channel, and with the supervisor."""
        _dup2(channel, self._link.descriptor, False)
        _close(channel)
        if self._users is not None:
            _setresuid(self._users[1], -1, -1)  # out of reach of user code's signals
        _setsid()  # as every interpreter leads its own: a signal to user code's process group must not hit snapshots
        _die_with_parent()
        for copy, number in self._copies:  # user code may have put a pipe of its own there
            _dup2(copy, number)
        _bury(record.dead)
        self._reborn()
        self._link.send({"type": "asleep", "snapshot": snapshot})
        while True:
            header, blobs = self._link.receive()
            if header["type"] == "wake":
                break
            handler = self._hooks.sleeper_handlers.get(header["type"])
            if handler is not None:
                handler(header, blobs)
        self._wake(snapshot, record)

    def _wake(self, snapshot: int, record: Record) -> None:
        if self._users is not None:
            code, sleeper = self._users
            _setresuid(code, code, sleeper)
        files.seek_back(record.files)
        epolls.rebuild(record.epolls)
        multiprocess.begin_anew()
        warnings = _warnings(record)
        changes, truncated = self._hooks.files_since_snapshot()
        self._link.send(
            {
                "type": "awake",
                "snapshot": snapshot,
                "warnings": warnings,
                "files": changes,
                "files_truncated": truncated,
            }
        )
        record.timers.put_back()


def _bury(streams: Iterable[Stream]) -> None:
    """Put dead sockets over living pipes and sockets, so that their peers see an end where the live process ends them.

    A dead one reads end of file, and writing to it fails with EPIPE.
    """
    if not streams:
        return
    dead, other = _socketpair(_UNIX, _STREAM)
    other.close()
    for stream in streams:
        _dup2(dead.fileno(), stream.descriptor, stream.inheritable)
    dead.close()


def _warnings(record: Record) -> list[dict[str, Any]]:
    dead = [stream for stream in record.dead if stream.descriptor not in record.unnamed]
    return [
        *losses.warning("streams", losses.names_of_streams(dead)),
        *losses.warning("memory", losses.shared_memory()),
        *losses.warning("children", record.children),
        *losses.warning("locks", record.locked),
        *losses.warning("timers", [*record.timers.others, *record.clocks]),
    ]
