"""The interpreter's part, the live one's or a sleeper's: it forks a writer onto the connection, and goes on."""

from __future__ import annotations

import gc
import os
from typing import Any

from sandbank_runner.interpreter.checkpoints.frames import Connection
from sandbank_runner.interpreter.checkpoints.ledger import Ledger
from sandbank_runner.interpreter.checkpoints.surroundings import Surroundings
from sandbank_runner.interpreter.checkpoints.writer import write
from sandbank_runner.interpreter.link import Link
from sandbank_runner.interpreter.reading import restraint
from sandbank_runner.interpreter.sealed import give_back, put_back, seal
from sandbank_runner.walls.clone import fork_sibling, native_thread

seal(globals())

_close, _exit, _getpid = os.close, os._exit, os.getpid
_gc_disable, _gc_enable, _gc_isenabled = gc.disable, gc.enable, gc.isenabled
MEMORY_BYTES = 2 * 1024 * 1024 * 1024
"""What a writer may take beyond what the interpreter has: pickles wait in memory until it is known who lacks them."""


class Writers:
    """Forks writers of one session's state. ``users`` are those of code and of sleepers, where there are such."""

    def __init__(
        self,
        link: Link,
        surroundings: Surroundings,
        users: tuple[int, int] | None,
        ledger: Ledger,
    ) -> None:
        self._link = link
        self._surroundings = surroundings
        self._users = users
        self._ledger = ledger
        self._thread = native_thread()

    def checkpoint(self, header: dict[str, Any], _blobs: tuple[bytes, ...]) -> None:
        """Fork a writer; answer ``writing`` or ``writing_refused``. From here on changes belong to the next one."""
        if self._fork(header):
            self._ledger.begin(header["checkpoint_id"])

    def checkpoint_asleep(self, header: dict[str, Any], _blobs: tuple[bytes, ...]) -> None:
        """Do the same in a sleeper: should it wake up, it knows of no checkpoint that it was copied for."""
        self._fork(header)

    def ended(self, header: dict[str, Any], _blobs: tuple[bytes, ...]) -> None:
        """Hear what became of a checkpoint."""
        self._ledger.ended(header["checkpoint_id"], header.get("durable") is True)

    def _fork(self, header: dict[str, Any]) -> bool:
        changed = put_back()
        try:
            return self._write(header["checkpoint_id"], changed)
        finally:
            give_back(changed)

    def _write(self, checkpoint: str, users_builtins: dict[str, Any] | None) -> bool:
        descriptors = self._link.take_descriptors()
        if len(descriptors) != 1:
            for descriptor in descriptors:
                _close(descriptor)
            self._refuse(checkpoint, "no descriptor is left for the connection")
            return False
        own = _getpid()
        collecting = _gc_isenabled()
        _gc_disable()  # a collection runs finalizers, in the writer too
        try:
            pid = fork_sibling(self._thread)
        except BaseException as error:
            if _getpid() == own:
                _close(descriptors[0])
                self._refuse(checkpoint, str(error))
                return False
            pid = 0  # what failed in the copy is the bookkeeping of threads, of which it has one
        finally:
            if collecting and _getpid() == own:
                _gc_enable()
        if pid == 0:
            self._become_writer(descriptors[0], users_builtins)
        _close(descriptors[0])
        self._link.send({"type": "writing", "checkpoint_id": checkpoint, "pid": pid})
        return True

    def _become_writer(self, descriptor: int, users_builtins: dict[str, Any] | None) -> None:
        code = 1
        try:
            self._link.mute()
            restraint.give_up(descriptor, self._users, name="writer", memory=MEMORY_BYTES)
            if write(Connection(descriptor), self._surroundings, self._ledger, users_builtins):
                code = 0
        finally:
            _exit(code)

    def _refuse(self, checkpoint: str, message: str) -> None:
        self._link.send({"type": "writing_refused", "checkpoint_id": checkpoint, "message": message[:500]})
