"""Questions to whoever runs the code, and their answers.

An answer comes on the interpreter's one channel. While a process operation runs, nobody reads that but who waits for an
answer: any number of threads at once, so one that takes another's answer hands it over. Otherwise the main loop reads
and hands over. When an operation ends, its threads that still wait are sent away before the loop reads on, so that none
takes a message that is not theirs.
"""

from __future__ import annotations

import os
import select
from _thread import RLock
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from sandbank_runner.interpreter.input.typed import Typed
from sandbank_runner.interpreter.link import Link
from sandbank_runner.interpreter.parallel.current import Waking, namespace_operation
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.text import encoded, sendable

seal(globals())

PROMPT_BYTES: Final = 64 * 1024
WAITING: Final = 128
"""Questions that are open at once: each has a descriptor and a thread that waits."""

_POLLIN: Final = select.POLLIN
_BELL_FLAGS: Final = os.EFD_CLOEXEC | os.EFD_NONBLOCK
_poll = select.poll
_getpid, _close = os.getpid, os.close
_eventfd, _ring, _silence = os.eventfd, os.eventfd_write, os.eventfd_read


class Asker:
    """An operation that may ask."""

    __slots__ = ("operation", "over", "reads", "typed")

    def __init__(self, operation: str, *, reads: bool) -> None:
        self.operation = operation
        self.reads = reads
        """Whether who waits reads the channel."""
        self.typed = Typed()
        self.over = False


class _Question:
    """One that is open; ``bell`` is a descriptor that wakes who waits for the answer."""

    __slots__ = ("answered", "asker", "bell", "text")

    def __init__(self, asker: Asker) -> None:
        self.asker = asker
        self.bell = -1
        self.answered = False
        self.text: str | None = None


class Questions:
    """All of one interpreter. ``before_asking`` hands over what was written so far."""

    def __init__(self, link: Link, before_asking: Callable[[], None]) -> None:
        self._link = link
        self._before_asking = before_asking
        self._pid = _getpid()
        self._askers: dict[str, Asker] = {}
        self._alone: Asker | None = None
        self._open: dict[int, _Question] = {}
        self._last = 0
        # Entered again where a signal handler of the user's asks while the main thread is in it.
        self._lock = RLock()

    def reborn(self) -> None:
        """This process is another one, forked off between two operations."""
        self._pid = _getpid()

    def begin(self, operation: str, *, allowed: bool, alone: bool) -> None:
        """An operation starts. ``alone``: it runs in the main thread, which therefore does not read the channel."""
        if not allowed:
            return
        asker = self._askers[operation] = Asker(operation, reads=alone)
        if alone:
            self._alone = asker

    def end(self, operation: str) -> None:
        """It is over: who still waits in it gets the end of file."""
        with self._lock:
            asker = self._askers.pop(operation, None)
            if asker is None:
                return
            asker.over = True
            if self._alone is asker:
                self._alone = None
            for question in self._open.values():
                if question.asker is asker:
                    _ring(question.bell, 1)

    def answered(self, header: dict[str, Any], _blobs: tuple[bytes, ...] = ()) -> None:
        """Hand an answer over. One that nobody waits for is dropped."""
        with self._lock:
            question = self._open.get(header.get("input_id", 0))
            if question is None or question.asker.operation != header.get("operation"):
                return
            if question.asker.over:
                return  # its thread has not come yet to see that
            question.text = header.get("text")
            question.answered = True
            _ring(question.bell, 1)

    def asker(self) -> Asker | None:
        """Return the operation that the caller belongs to, None where it cannot ask."""
        if _getpid() != self._pid:
            return None  # forked by user code: it has no say on the channel
        owner = namespace_operation()
        return self._alone if owner is None else self._askers.get(owner.operation)

    def ask(self, asker: Asker, prompt: str, *, password: bool = False) -> str | None:
        """Return the line that was given, None for the end of file. Any exception may come while it waits."""
        self._before_asking()
        question = _Question(asker)
        number = 0
        try:
            question.bell = _eventfd(0, _BELL_FLAGS)
            with self._lock:
                if asker.over:
                    return None
                if len(self._open) >= WAITING:
                    raise RuntimeError(f"{WAITING} threads wait for input already")
                self._last += 1
                number = self._last
                self._open[number] = question
                # Here, so that they leave in the order of their numbers.
                self._link.send(
                    {
                        "type": "input_request",
                        "operation": asker.operation,
                        "input_id": number,
                        "prompt": _bounded(prompt),
                        "password": password,
                    }
                )
            with Waking(partial(self._wake, question)):
                self._wait(question)
            return question.text
        finally:
            with self._lock:
                self._open.pop(number, None)
                bell, question.bell = question.bell, -1
                if bell >= 0:
                    _close(bell)
            if number and not question.answered and not asker.over:
                self._link.send({"type": "input_withdrawn", "operation": asker.operation, "input_id": number})

    def _wait(self, question: _Question) -> None:
        asker, bell = question.asker, question.bell
        poller = _poll()
        poller.register(bell, _POLLIN)
        if asker.reads:
            poller.register(self._link.descriptor, _POLLIN)
        while not (question.answered or asker.over):
            poller.poll()  # a signal's handler may raise here, and in a thread an exception that was sent to it
            try:
                _silence(bell)
            except BlockingIOError:
                self._read(asker)

    def _read(self, asker: Asker) -> None:
        """Take what has come, unless somebody else did."""
        with self._lock:
            if asker.over or not asker.reads:
                return
            message = self._link.receive_now()
            if message is not None and message[0].get("type") == "input":
                self.answered(*message)

    def _wake(self, question: _Question) -> None:
        """Let who waits look up: its thread was sent an exception."""
        with self._lock:
            if question.bell >= 0:
                _ring(question.bell, 1)


def _bounded(prompt: str) -> str:
    if len(prompt) > PROMPT_BYTES:
        prompt = prompt[:PROMPT_BYTES]
    text = sendable(prompt)
    data = encoded(text)
    return text if len(data) <= PROMPT_BYTES else data[:PROMPT_BYTES].decode("utf-8", "ignore")
