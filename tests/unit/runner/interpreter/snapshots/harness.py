"""The supervisor's side of snapshots, without its policies: takes them, wakes one, ends one."""

from __future__ import annotations

import ast
import os
import select
import signal
import socket
from array import array
from dataclasses import dataclass
from typing import Any

from sandbank_runner.channel import Assembler, encode, pair, receive_packet

from tests.unit.runner.interpreter.harness import SECONDS, Interpreter


class Refused(Exception):
    """There is no snapshot; ``header`` is what the interpreter said."""

    def __init__(self, header: dict[str, Any]) -> None:
        super().__init__(header["message"])
        self.header = header


@dataclass
class Snapshot:
    """One sleeper, seen from outside."""

    number: int
    pid: int
    sock: socket.socket

    def send(self, header: dict[str, Any]) -> None:
        """Say something to it."""
        for packet in encode(header):
            self.sock.send(packet)

    def receive(self, kind: str) -> dict[str, Any]:
        """Wait for a message of this type, which must come from itself."""
        assembler = Assembler()
        self.sock.settimeout(SECONDS)
        message = None
        while message is None:
            message = assembler.add(receive_packet(self.sock))
        self.sock.settimeout(None)
        assert (message.header["type"], message.pid) == (kind, self.pid)
        return message.header


class Timeline:
    """An interpreter that can go back."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter
        self._count = 0
        self._snapshots: list[Snapshot] = []
        self.run = interpreter.run
        self.ok = interpreter.ok

    def value(self, expression: str) -> Any:
        """Return the value of an expression that has a literal form."""
        return ast.literal_eval(self.ok(expression).text or "None")

    def ask(self) -> dict[str, Any]:
        """Ask for a snapshot that is given up at once; return the answer."""
        try:
            snapshot = self.snapshot()
        except Refused as refused:
            return refused.header
        self.drop(snapshot)
        return {"type": "snapshot_taken"}

    def snapshot(self) -> Snapshot:
        """Take a snapshot. :class:`Refused` where there is none."""
        self._count += 1
        ours, theirs = pair()
        packet = encode({"type": "snapshot", "snapshot": self._count})[0]
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [theirs.fileno()]))
        self.interpreter._sock.sendmsg([packet], [rights])
        theirs.close()
        try:
            message = self.interpreter.receive("snapshot_taken")
        except AssertionError as error:
            ours.close()
            answer = error.args[0].header if hasattr(error.args[0], "header") else None
            if answer is None:
                raise
            raise Refused(answer) from None
        snapshot = Snapshot(self._count, message.header["pid"], ours)
        assert message.header == {"type": "snapshot_taken", "snapshot": self._count, "pid": snapshot.pid}
        assert snapshot.receive("asleep") == {"type": "asleep", "snapshot": self._count}
        self._snapshots.append(snapshot)
        return snapshot

    def drop(self, snapshot: Snapshot) -> None:
        """Commit: the snapshot is of no use any more."""
        os.kill(snapshot.pid, signal.SIGKILL)
        self._reap(snapshot)
        snapshot.sock.close()

    def rollback(self, snapshot: Snapshot) -> dict[str, Any]:
        """Kill the live interpreter and wake the snapshot; return what it says of it."""
        live = self.interpreter
        if live.status is None:
            os.kill(live.pid, signal.SIGKILL)
            live._died()
        live._drain()
        live.events.clear()
        return self.wake(snapshot)

    def wake(self, snapshot: Snapshot) -> dict[str, Any]:
        """Wake a snapshot, whose live interpreter is dead."""
        live = self.interpreter
        snapshot.send({"type": "wake", "snapshot": snapshot.number})
        awake = snapshot.receive("awake")
        assert awake["snapshot"] == snapshot.number
        live._sock.close()
        os.close(live._pidfd)
        live._sock, live.pid, live.status = snapshot.sock, snapshot.pid, None
        live._pidfd = os.pidfd_open(snapshot.pid)
        live._assembler = Assembler()
        self._snapshots.remove(snapshot)
        return awake

    def ends(self, snapshot: Snapshot) -> int:
        """Wait for the end of a snapshot that nobody ended; return its wait status."""
        descriptor = os.pidfd_open(snapshot.pid)
        try:
            assert select.select([descriptor], [], [], SECONDS)[0], "it sleeps on"
        finally:
            os.close(descriptor)
        snapshot.sock.close()
        return self._reap(snapshot)

    def close(self) -> None:
        """End all snapshots that are left."""
        for snapshot in list(self._snapshots):
            self.drop(snapshot)

    def _reap(self, snapshot: Snapshot) -> int:
        self._snapshots.remove(snapshot)
        return self.interpreter.template.wait(snapshot.pid)
