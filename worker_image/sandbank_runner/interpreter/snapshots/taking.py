"""The live interpreter's part: it looks at what a fork does not copy, forks, and says so."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from typing import Any

from sandbank_runner.interpreter.link import Link
from sandbank_runner.interpreter.sealed import give_back, put_back, seal
from sandbank_runner.interpreter.signals import SIGCHLD, sigpending, sigtimedwait
from sandbank_runner.interpreter.snapshots import files, losses, multiprocess, timers
from sandbank_runner.interpreter.snapshots.descriptors import look
from sandbank_runner.interpreter.snapshots.limits import Limits
from sandbank_runner.interpreter.snapshots.loops import own_pairs
from sandbank_runner.interpreter.snapshots.record import Record
from sandbank_runner.interpreter.snapshots.sleeping import Handler, Sleeper
from sandbank_runner.interpreter.snapshots.threads import Threads
from sandbank_runner.walls.clone import fork_sibling, fork_with_handlers, native_thread

seal(globals())

_close, _fstat, _lseek = os.close, os.fstat, os.lseek
_gc_disable, _gc_enable, _gc_isenabled = gc.disable, gc.enable, gc.isenabled
_fork = fork_sibling


def _fork_with_handlers() -> int:
    """Fork by way of a child that ends at once: the signal that tells of it is nothing that user code waits for."""
    pending = SIGCHLD in sigpending()
    pid = fork_with_handlers()
    if pid and not pending:
        sigtimedwait((SIGCHLD,), 0)
    return pid


class Snapshots:
    """Takes the snapshots of one session, in whatever generation it is.

    ``copies`` says where the copies of descriptors 0, 1 and 2 lie. ``loop`` returns the session's event loop or None.
    ``reborn`` is called in each sleeper: it is another process, and all that remembers a pid must forget it.
    """

    def __init__(
        self,
        link: Link,
        users: tuple[int, int] | None,
        copies: tuple[tuple[int, int], ...],
        loop: Callable[[], object],
        reborn: Callable[[], None],
    ) -> None:
        self._link = link
        self._loop = loop
        self._thread = native_thread()
        self._threads = Threads()
        self._own = frozenset([0, 1, 2, link.descriptor, *(copy for copy, _ in copies)])
        self._pipes = frozenset(
            (status.st_dev, status.st_ino) for status in [_fstat(copy) for copy, number in copies if number]
        )
        self.limits = Limits()
        self.sleeper_handlers: dict[str, Handler] = {}
        """What a sleeper does besides waking up, by the message's type; as the session's own handlers."""
        self.files_since_snapshot: Callable[[], tuple[list[list[Any]], bool]] = _no_files
        """What the workspace shows against its index, asked at a thaw: ([[path, kind]], truncated)."""
        self._sleeper = Sleeper(link, users, copies, reborn, self)

    def take(self, header: dict[str, Any], _blobs: tuple[bytes, ...]) -> None:
        """Fork a sleeper onto the channel that came with the message. Returns in it too, once it is awake.

        Expects all signals to be blocked.
        """
        snapshot: int = header["snapshot"]
        descriptors = self._link.take_descriptors()
        changed = put_back()
        collecting = _gc_isenabled()
        _gc_disable()  # it would run finalizers, in the sleeper too
        try:
            if len(descriptors) == 1:
                self._take(snapshot, descriptors[0])
            else:
                self._refuse(snapshot, "descriptors", "no descriptor is left for the channel")
        finally:
            if collecting:
                _gc_enable()
            give_back(changed)

    def _take(self, snapshot: int, channel: int) -> None:
        try:
            others = self._threads.others()
            record = None if others.names else self._look(channel, others.waiting)
        except Exception as error:  # the kernel's refusal, or a user's audit hook: nothing has changed
            _close(channel)
            self._refuse(snapshot, "fork", f"{type(error).__name__}: {error}"[:1000])
            return
        if record is None:
            _close(channel)
            self._refuse(snapshot, "threads", "other threads are running", others.names)
            return
        soft = self.limits.lift_processes()
        try:
            pid = _fork(self._thread) if others.waiting is None else _fork_with_handlers()
        except OSError as error:
            pid = -1
            problem = str(error)
        self.limits.lower_processes(soft)
        if pid == 0:
            self._sleeper.sleep(snapshot, channel, record)
            return
        _close(channel)
        if pid > 0:
            self._link.send({"type": "snapshot_taken", "snapshot": snapshot, "pid": pid})
        else:
            self._refuse(snapshot, "fork", problem)

    def _look(self, channel: int, waiting: frozenset[int] | None) -> Record:
        """Write out what regular files are still to get, and note what a fork shares or leaves behind."""
        tracker, server = multiprocess.tracker_pipe(), multiprocess.server_pipe()
        own = self._own | {channel, tracker}
        found = look(own, self._pipes)
        if found.writes():
            files.write_out(found.files)
            for file in found.files:
                file.offset = _lseek(file.descriptor, 0, os.SEEK_CUR)
        keep = own_pairs(found, self._loop()) | (waiting or frozenset())
        kept = {stream.identity for stream in found.streams if stream.descriptor in keep}
        return Record(
            files=found.files,
            dead=[stream for stream in found.streams if stream.identity not in kept],
            unnamed=frozenset([server]),
            epolls=found.epolls,
            locked=found.locked,
            clocks=found.clocks,
            timers=timers.look(),
            children=losses.children(multiprocess.helper_pids()),
        )

    def _refuse(self, snapshot: int, reason: str, message: str, threads: list[str] | None = None) -> None:
        self._link.send(
            {
                "type": "snapshot_refused",
                "snapshot": snapshot,
                "reason": reason,
                "message": message,
                "threads": threads or [],
            }
        )


def _no_files() -> tuple[list[list[Any]], bool]:
    return [], False
