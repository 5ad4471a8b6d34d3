"""The supervisor's side of a reader, without its patience: what it says is collected until it ends."""

from __future__ import annotations

import os
import select
import signal
import socket
from array import array
from dataclasses import dataclass, field
from typing import Any

from sandbank_runner.channel import Assembler, encode, pair, receive_packet

from tests.unit.runner.interpreter.harness import SECONDS, Interpreter

LIST = {
    "what": "list",
    "characters": 200,
    "skip": [],
    "bare": False,
    "prefix": "",
    "private": False,
    "after": "",
    "limit": 100,
}
GET = {
    "what": "get",
    "characters": 200,
    "skip": [],
    "bare": False,
    "form": "repr",
    "max_bytes": 1 << 20,
    "seconds": 5.0,
}


@dataclass
class Answer:
    """All that one reader said, and how it ended."""

    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Complete descriptions by name."""
    at: list[dict[str, Any]] = field(default_factory=list)
    """The variables that it turned to, as they were known then."""
    last: dict[str, Any] = field(default_factory=dict)
    """The message that ends the answer; empty where the reader died."""
    data: bytes = b""
    blobs: tuple[bytes, ...] = ()
    status: int = 0


class Reading:
    """One reader at work."""

    def __init__(
        self,
        interpreter: Interpreter,
        header: dict[str, Any],
        sleeper: Any = None,
        blobs: tuple[bytes, ...] = (),
    ) -> None:
        self._interpreter = interpreter
        self.sock, theirs = pair()
        self.sock.settimeout(SECONDS)
        (packet,) = encode({"type": "read", "read": 1, **header}, blobs)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [theirs.fileno()]))
        if sleeper is None:
            interpreter._sock.sendmsg([packet], [rights])
            theirs.close()
            told = interpreter.receive("reading").header
        else:
            sleeper.sock.sendmsg([packet], [rights])
            theirs.close()
            told = sleeper.receive("reading")
        assert told["read"] == 1
        self.pid: int = told["pid"]
        self._pidfd = os.pidfd_open(self.pid)
        self._assembler = Assembler()
        self.answer = Answer()

    def message(self) -> Any:
        """Wait for the next message; None at its end."""
        while True:
            try:
                packet = receive_packet(self.sock)
            except (EOFError, ConnectionResetError):
                return None
            if packet.pid == self.pid:
                message = self._assembler.add(packet)
                if message is not None:
                    return message

    def until_at(self, name: str) -> None:
        """Wait until it turns to a variable."""
        while not self.answer.at or self.answer.at[-1]["name"] != name:
            message = self.message()
            assert message is not None, self.answer
            self._take(message)

    def finish(self) -> Answer:
        """Collect everything until its end."""
        while (message := self.message()) is not None:
            self._take(message)
        assert select.select([self._pidfd], [], [], SECONDS)[0], "it lives on"
        return self._reaped()

    def kill(self) -> Answer:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)
        return self.finish()

    def _take(self, message: Any) -> None:
        header = message.header
        if header["type"] == "variables":
            for item in header["items"]:
                self.answer.items[item["name"]] = item
            if header["at"] is not None:
                self.answer.at.append(header["at"])
            return
        assert not self.answer.last, "it goes on after the end"
        self.answer.last = header
        self.answer.blobs = message.blobs
        self.answer.data = b"".join(message.blobs)

    def _reaped(self) -> Answer:
        self.answer.status = self._interpreter.template.wait(self.pid)
        os.close(self._pidfd)
        self.sock.close()
        return self.answer


def listing(interpreter: Interpreter, **changes: Any) -> Answer:
    """List variables."""
    return Reading(interpreter, {**LIST, **changes}).finish()


def value(interpreter: Interpreter, name: str, **changes: Any) -> Answer:
    """Get one variable."""
    return Reading(interpreter, {**GET, "name": name, **changes}).finish()
