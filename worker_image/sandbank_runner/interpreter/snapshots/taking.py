"""The live interpreter's part: it looks at what a fork does not copy, forks, and says so."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from typing import Any

from sandbank_runner.interpreter.link import Link
from sandbank_runner.interpreter.sealed import give_back, put_back, seal
from sandbank_runner.interpreter.snapshots.sleeping import Handler, Sleeper
from sandbank_runner.walls.clone import fork_sibling, native_thread, thread_count

seal(globals())

_close = os.close
_gc_disable, _gc_enable, _gc_isenabled = gc.disable, gc.enable, gc.isenabled


class Snapshots:
    """Takes the snapshots of one session, in whatever generation it is.

    ``reborn`` is called in each sleeper: it is another process, and all that remembers a pid must forget it.
    """

    def __init__(self, link: Link, users: tuple[int, int] | None, reborn: Callable[[], None]) -> None:
        self._link = link
        self._thread = native_thread()
        self.sleeper_handlers: dict[str, Handler] = {}
        """What a sleeper does besides waking up, by the message's type; as the session's own handlers."""
        self.files_since_snapshot: Callable[[], tuple[list[list[Any]], bool]] = _no_files
        """What the workspace shows against its index, asked at a thaw: ([[path, kind]], truncated)."""
        self._sleeper = Sleeper(link, users, reborn, self)

    def take(self, header: dict[str, Any], _blobs: tuple[bytes, ...]) -> None:
        """Fork a sleeper onto the channel that came with the message. Returns in it too, once it is awake."""
        changed = put_back()
        try:
            self._take(header["snapshot"])
        finally:
            give_back(changed)

    def _take(self, snapshot: int) -> None:
        descriptors = self._link.take_descriptors()
        if len(descriptors) != 1:
            self._refuse(snapshot, "descriptors", "no descriptor is left for the channel")
            return
        channel = descriptors[0]
        collecting = _gc_isenabled()
        _gc_disable()  # it would run finalizers, in the sleeper too
        try:
            self._fork(snapshot, channel)
        finally:
            if collecting:
                _gc_enable()

    def _fork(self, snapshot: int, channel: int) -> None:
        if thread_count() > 1:
            _close(channel)
            self._refuse(snapshot, "threads", "threads of the user's are running")
            return
        try:
            pid = fork_sibling(self._thread)
        except OSError as error:
            _close(channel)
            self._refuse(snapshot, "fork", str(error))
            return
        if pid == 0:
            self._sleeper.sleep(snapshot, channel)
            return
        _close(channel)
        self._link.send({"type": "snapshot_taken", "snapshot": snapshot, "pid": pid})

    def _refuse(self, snapshot: int, reason: str, message: str, threads: tuple[str, ...] = ()) -> None:
        self._link.send(
            {
                "type": "snapshot_refused",
                "snapshot": snapshot,
                "reason": reason,
                "message": message,
                "threads": list(threads),
            }
        )


def _no_files() -> tuple[list[list[Any]], bool]:
    return [], False
