"""The main thread's side of namespace operations: it starts them, looks after them, and merges what they leave."""

from __future__ import annotations

import fcntl
import os
import select
import time
from _thread import start_new_thread
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from sandbank_runner.interpreter.execution import Executor, Outcome
from sandbank_runner.interpreter.input import Questions
from sandbank_runner.interpreter.interrupts import Interrupts
from sandbank_runner.interpreter.link import Link
from sandbank_runner.interpreter.output import Output
from sandbank_runner.interpreter.parallel import current, loops
from sandbank_runner.interpreter.parallel.mutations import Fingerprints
from sandbank_runner.interpreter.parallel.names import Ledger
from sandbank_runner.interpreter.parallel.operation import NamespaceOperation
from sandbank_runner.interpreter.parallel.output import OperationOutput
from sandbank_runner.interpreter.parallel.settling import Settled, settle
from sandbank_runner.interpreter.parallel.surroundings import Surroundings
from sandbank_runner.interpreter.parallel.thread import ThreadRunner
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_start_new_thread = start_new_thread
_monotonic, _sleep, _stat = time.monotonic, time.sleep, os.stat
_eventfd, _ring, _silence, _close = os.eventfd, os.eventfd_write, os.eventfd_read, os.close
_poll, _POLLIN, _POLLNVAL = select.poll, select.POLLIN, select.POLLNVAL
_fcntl, _F_DUPFD_CLOEXEC = fcntl.fcntl, fcntl.F_DUPFD_CLOEXEC
_BELL_FLAGS: Final = os.EFD_CLOEXEC | os.EFD_NONBLOCK

_LOWEST_BELL: Final = 254
"""Beyond the copies of the standard streams: what user code closes and opens below is no business of the bell."""
_LOOK_MILLISECONDS: Final = 5
_GONE_SECONDS: Final = 1.0
"""How long a thread that has ended may take to be gone."""
_FIRST_PAUSE_SECONDS: Final = 0.00002
_LARGEST_PAUSE_SECONDS: Final = 0.002
_SAME_SECONDS: Final = 1.0
"""The supervisor repeats an interrupt; within this time it is the same one, as with SIGINT."""


class Report(NamedTuple):
    """What the session tells of an operation's end."""

    operation: NamespaceOperation
    outcome: Outcome
    settled: Settled


class Board:
    """The namespace operations of one interpreter."""

    def __init__(
        self,
        link: Link,
        executor: Executor,
        interrupts: Interrupts,
        output: Output,
        questions: Questions,
        *,
        report: Callable[[Report], None],
    ) -> None:
        """``report`` sends ``done``."""
        self._link = link
        self._executor = executor
        self._questions = questions
        self._report = report
        self._ledger = Ledger(executor.namespace)
        self._surroundings = Surroundings(executor.namespace, output)
        self._threads = ThreadRunner(executor, output, lambda: interrupts.mask, self._note_end)
        self._running: dict[str, NamespaceOperation] = {}
        self._ended: deque[NamespaceOperation] = deque()
        self._interrupted_at: dict[str, float] = {}
        self._left_threads: list[int] = []
        """Of operations that have ended, by the kernel's number."""
        self._bell = -1
        os.register_at_fork(after_in_child=self._in_child)

    @property
    def is_active(self) -> bool:
        """Operations run: messages are received by :meth:`receive`."""
        return bool(self._running)

    def reborn(self) -> None:
        """This process is another one, forked off between two operations."""
        self._threads.reborn()

    # What the supervisor says.

    def execute(self, header: dict[str, Any], blobs: tuple[bytes, ...]) -> None:
        """Start an operation."""
        operation = NamespaceOperation(header["operation"], header["execution_count"])
        try:
            if not self._running:
                self._begin()
            self._prepare(
                operation, blobs[0] if blobs else b"", allow_input=header.get("allow_input") is True
            )
            _start_new_thread(self._threads.run, (operation,))
        except BaseException as error:  # no more threads, no memory, an audit hook of the user's
            operation.outcome.error = self._executor.errors.describe_without_asking(error)
            operation.is_open = False
            self._running[operation.operation] = operation
            self._finish(operation)

    def interrupt(self, header: dict[str, Any], _blobs: tuple[bytes, ...]) -> None:
        """Interrupt one that runs."""
        operation = self._running.get(header.get("operation", ""))
        if operation is None:
            return
        now = _monotonic()
        if now - self._interrupted_at.get(operation.operation, float("-inf")) < _SAME_SECONDS:
            return
        if operation.interrupt(loops):
            self._interrupted_at[operation.operation] = now

    def receive(self) -> tuple[dict[str, Any], tuple[bytes, ...]]:
        """Wait for a message, and meanwhile look after what runs."""
        while self._running:
            self._look_after()
            if not self._running:
                break
            if self._wait():
                break
        return self._link.receive()

    def _wait(self) -> bool:
        """Wait until there is something to do; True where a message has come."""
        poller = _poll()
        poller.register(self._link.descriptor, _POLLIN)
        if self._bell >= 0:
            poller.register(self._bell, _POLLIN)
        events = dict(poller.poll(self._patience()))
        if events.get(self._bell, 0) & _POLLNVAL:
            self._bell = -1  # user code closed it: from here on we look from time to time
        return self._link.descriptor in events

    # What becomes of operations.

    def _begin(self) -> None:
        low = _eventfd(0, _BELL_FLAGS)
        self._bell = _fcntl(low, _F_DUPFD_CLOEXEC, _LOWEST_BELL)
        _close(low)
        self._surroundings.cover()

    def _prepare(self, operation: NamespaceOperation, source: bytes, *, allow_input: bool) -> None:
        operation.source = source
        operation.branch = self._ledger.branch()
        operation.fingerprints = Fingerprints(operation.branch.base)
        operation.context = self._executor.context.copy()
        operation.sources = self._executor.sources.branch()
        operation.output = OperationOutput(operation, self._link.send, self._ring)
        if self._running:
            for other in (operation, *self._running.values()):
                other.is_alone = False
        self._questions.begin(operation.operation, allowed=allow_input, alone=False)
        self._running[operation.operation] = operation
        operation.is_prepared = True

    def _look_after(self) -> None:
        """Take in what has ended, send what waited long enough."""
        try:  # noqa: SIM105 - contextlib looks builtins up that user code may have changed
            _silence(self._bell)
        except OSError:  # not rung, or closed by user code
            pass
        while self._ended:
            self._finish(self._ended.popleft())
        for operation in list(self._running.values()):
            operation.output.flush_due()

    def _patience(self) -> int | None:
        """Return for how many milliseconds there is nothing to do."""
        due = min((operation.output.due_at for operation in self._running.values()), default=float("inf"))
        if due == float("inf"):
            return None if self._bell >= 0 else _LOOK_MILLISECONDS
        return max(int((due - _monotonic()) * 1000) + 1, 0)

    def _finish(self, operation: NamespaceOperation) -> None:
        is_last = len(self._running) == 1
        self._left_threads.append(operation.native_thread)
        if is_last:
            _wait_for_end(self._left_threads)
            self._left_threads.clear()
        self._questions.end(operation.operation)
        settled = settle(operation, self._ledger, self._running.values())
        del self._running[operation.operation]
        self._interrupted_at.pop(operation.operation, None)
        if settled.is_merged:
            self._executor.sources.merge(operation.sources)
        if settled.failure is not None and settled.is_lost:
            operation.outcome.result = {}
            operation.outcome.error = self._executor.errors.describe_without_asking(settled.failure)
        if is_last:
            self._surroundings.uncover()
            self._silence_for_good()
            self._ledger.rest()
        self._report(Report(operation, operation.outcome, settled))

    def _silence_for_good(self) -> None:
        try:  # noqa: SIM105
            _close(self._bell)
        except OSError:
            pass  # user code closed it
        self._bell = -1

    def _note_end(self, operation: NamespaceOperation) -> None:
        """In the operation's thread, at its very end."""
        self._ended.append(operation)
        self._ring()

    def _ring(self) -> None:
        try:  # noqa: SIM105
            _ring(self._bell, 1)
        except OSError:
            pass

    def _in_child(self) -> None:
        """In a process that user code forked: locks that other threads held are held for ever."""
        current.end()
        for operation in self._running.values():
            operation.renew_guard()


def _wait_for_end(threads: list[int]) -> None:
    """Wait until the kernel has let go of threads whose code has ended: a snapshot wants to be made of one thread."""
    give_up = _monotonic() + _GONE_SECONDS
    for thread in threads:
        pause = _FIRST_PAUSE_SECONDS
        while thread and _exists(f"/proc/self/task/{thread}") and _monotonic() < give_up:
            _sleep(pause)
            pause = min(2 * pause, _LARGEST_PAUSE_SECONDS)


def _exists(path: str) -> bool:
    try:
        _stat(path)
    except OSError:
        return False
    return True
