"""Drives namespace operations of one interpreter, any number at once, and keeps apart what comes of each."""

from __future__ import annotations

import time
from typing import Any

from tests.unit.runner.interpreter.harness import SECONDS, Done, Interpreter

_STREAMS = {1: "stdout", 2: "stderr"}


class Beside:
    """The supervisor's side of operations beside each other."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter
        self.raw: list[tuple[str, bytes]] = []
        """What came by the pipes, which carry no name."""
        self.messages: list[Any] = []
        """Of types that are not of an operation's course."""
        self._events: dict[str, list[tuple[str, Any]]] = {}
        self._done: dict[str, Any] = {}
        self._interrupting: set[str] = set()

    def begin(self, code: str, **options: Any) -> str:
        """Start an operation; return its id."""
        operation = self.interpreter.start(code, isolation="namespace", **options)
        self._events[operation] = []
        return operation

    def finish(self, operation: str) -> Done:
        """Wait for its end."""
        give_up = time.monotonic() + SECONDS
        while operation not in self._done:
            assert time.monotonic() < give_up, f"no end: {self._events[operation]}"
            self.step()
        self._interrupting.discard(operation)
        self.interpreter._drain()
        self._sort()
        message = self._done.pop(operation)
        result = dict(zip(message.header["mime"], message.blobs, strict=True))
        return Done(message.header, result, self._events.pop(operation))

    def run(self, code: str, **options: Any) -> Done:
        """Run one, and wait for its end."""
        return self.finish(self.begin(code, **options))

    def ok(self, code: str, **options: Any) -> Done:
        """The same, of code that must not fail."""
        done = self.run(code, **options)
        assert done.ok, done.error["traceback_text"]
        return done

    def has_ended(self, operation: str) -> bool:
        """Tell whether its end was told."""
        return operation in self._done

    def interrupt(self, operation: str) -> None:
        """Interrupt it as the supervisor does: again and again until it ends."""
        self._interrupting.add(operation)
        self._say_interrupt(operation)

    def message(self) -> Any:
        """Wait for a message that is not of an operation's course."""
        while not self.messages:
            self.step()
        return self.messages.pop(0)

    def output_until(self, operation: str, text: str) -> None:
        """Wait until it has written ``text``: a sign that its code has come so far."""
        give_up = time.monotonic() + SECONDS
        while text not in self.written(operation):
            assert time.monotonic() < give_up, f"no {text!r}: {self._events[operation]}"
            self.step()

    def written(self, operation: str) -> str:
        """Return what it has written to stdout so far."""
        parts = [event[1] for event in self._events[operation] if event[0] == "stdout"]
        return b"".join(parts).decode()

    def step(self) -> None:
        """Take in one thing that comes, or interrupt once more."""
        message = self.interpreter._poll(0.2 if self._interrupting else 1.0)
        self._sort()
        if message is None:
            for operation in self._interrupting:
                self._say_interrupt(operation)
            return
        header = message.header
        if header["type"] == "output":
            self._events[header["operation"]].append((_STREAMS[header["stream"]], message.blobs[0]))
        elif header["type"] == "done":
            self._done[header["operation"]] = message
        else:
            self.messages.append(message)

    def _sort(self) -> None:
        for event in self.interpreter.events:
            if event[0] == "display":
                self._events[event[1]["operation"]].append(event)
            else:
                self.raw.append(event)
        self.interpreter.events.clear()

    def _say_interrupt(self, operation: str) -> None:
        self.interpreter.send({"type": "interrupt", "operation": operation})


def warnings_of(done: Done, code: str) -> list[str]:
    """Return the names in the warnings of one code."""
    return [
        name for warning in done.header["warnings"] if warning["code"] == code for name in warning["names"]
    ]
