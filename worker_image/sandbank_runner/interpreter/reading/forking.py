"""The interpreter's part, the live one's or a sleeper's: it forks a reader onto the channel that came, and goes on."""

from __future__ import annotations

import gc
import os
from typing import Any

from sandbank_runner.interpreter.inspecting import answering
from sandbank_runner.interpreter.link import Link
from sandbank_runner.interpreter.reading import exporting, reader, restraint
from sandbank_runner.interpreter.reading.patience import Patience
from sandbank_runner.interpreter.sealed import give_back, put_back, seal
from sandbank_runner.walls.clone import fork_sibling, native_thread

seal(globals())

_close, _exit, _getpid = os.close, os._exit, os.getpid
_gc_disable, _gc_enable, _gc_isenabled = gc.disable, gc.enable, gc.isenabled


class Readers:
    """Forks readers of one session's namespace. ``users`` are those of code and of sleepers, where there are such."""

    def __init__(self, link: Link, names: dict[str, Any], users: tuple[int, int] | None) -> None:
        self._link = link
        self._names = names
        self._users = users
        self._thread = native_thread()

    def read(self, header: dict[str, Any], blobs: tuple[bytes, ...]) -> None:
        """Fork a reader; answer ``reading`` or ``read_refused``.

        Other threads of the user's do not stand in the way, though one of them may hold a lock: the copy then hangs,
        and the supervisor ends it.
        """
        changed = put_back()
        try:
            self._read(header, blobs, changed)
        finally:
            give_back(changed)

    def _read(
        self, header: dict[str, Any], blobs: tuple[bytes, ...], users_builtins: dict[str, Any] | None
    ) -> None:
        number = header["read"]
        descriptors = self._link.take_descriptors()
        if len(descriptors) != 1:
            for descriptor in descriptors:
                _close(descriptor)
            self._refuse(number, "no descriptor is left for the channel")
            return
        own = _getpid()
        collecting = _gc_isenabled()
        _gc_disable()  # a collection runs finalizers, in the reader too
        try:
            pid = fork_sibling(self._thread)
        except BaseException as error:
            if _getpid() == own:
                _close(descriptors[0])
                self._refuse(number, str(error))
                return
            pid = 0  # what failed in the copy is the bookkeeping of threads, of which it has one
        finally:
            if collecting and _getpid() == own:
                _gc_enable()
        if pid == 0:
            self._become_reader(header, blobs, descriptors[0], users_builtins)
        _close(descriptors[0])
        self._link.send({"type": "reading", "read": number, "pid": pid})

    def _become_reader(
        self,
        header: dict[str, Any],
        blobs: tuple[bytes, ...],
        channel: int,
        users_builtins: dict[str, Any] | None,
    ) -> None:
        try:
            if header["type"] == "export":
                self._link.mute()
                restraint.give_up(channel, self._users, memory=exporting.MEMORY_BYTES)
                exporting.answer(channel, header, self._names, Patience(users_builtins))
            self._link.speak_on(channel)
            restraint.give_up(channel, self._users)
            patience = Patience(users_builtins)
            if header["what"] in (answering.COMPLETE, answering.INSPECT):
                answering.answer(self._link, header, blobs, self._names, patience)
            reader.answer(self._link, header, self._names, patience)
        finally:
            _exit(1)

    def _refuse(self, number: int, message: str) -> None:
        self._link.send({"type": "read_refused", "read": number, "message": message[:500]})
