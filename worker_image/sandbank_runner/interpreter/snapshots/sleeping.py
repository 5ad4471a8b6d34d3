"""The sleeper's part: it gets out of the live interpreter's way, waits, and becomes the live one when it is told to."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol

from sandbank_runner.interpreter.link import Link
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.walls import process_flags

seal(globals())

_dup2, _close = os.dup2, os.close
_setresuid, _setsid = os.setresuid, os.setsid
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
        reborn: Callable[[], None],
        hooks: Hooks,
    ) -> None:
        self._link = link
        self._users = users
        self._reborn = reborn
        self._hooks = hooks

    def sleep(self, snapshot: int, channel: int) -> None:
        """Sleep, and return as the live interpreter. Ends with its channel, and with the supervisor."""
        _dup2(channel, self._link.descriptor, False)
        _close(channel)
        if self._users is not None:
            _setresuid(self._users[1], -1, -1)  # out of reach of user code's signals
        _setsid()  # as every interpreter leads its own: a signal to user code's process group must not hit snapshots
        _die_with_parent()
        self._reborn()
        self._link.send({"type": "asleep", "snapshot": snapshot})
        while True:
            header, blobs = self._link.receive()
            if header["type"] == "wake":
                break
            handler = self._hooks.sleeper_handlers.get(header["type"])
            if handler is not None:
                handler(header, blobs)
        self._wake(snapshot)

    def _wake(self, snapshot: int) -> None:
        if self._users is not None:
            code, sleeper = self._users
            _setresuid(code, code, sleeper)
        files, truncated = self._hooks.files_since_snapshot()
        self._link.send(
            {
                "type": "awake",
                "snapshot": snapshot,
                "warnings": [],
                "files": files,
                "files_truncated": truncated,
            }
        )
