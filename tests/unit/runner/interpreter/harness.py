"""A real interpreter in a real process, driven as the supervisor drives it: over a channel, with pipes at 1 and 2.

:class:`Template` stands for the template process: it has the package imported and forks. :class:`Interpreter` stands
for the supervisor's side of one interpreter. Single-threaded: output is read while something is waited for.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbank_runner.channel import Assembler, Channel, encode, pair, receive_packet
from sandbank_runner.walls.numbers import number_of
from sandbank_runner.walls.system_calls import system_call

SECONDS = 30.0
"""How long anything may take before a test fails."""

_WORKER_IMAGE = str(Path(__file__).resolve().parents[4] / "worker_image")

_TEMPLATE = """
import os, signal, socket, sys
from sandbank_runner.channel import Channel
from sandbank_runner.interpreter import main
from sandbank_runner.interpreter.checkpoints import preloaded
from sandbank_runner.walls.process_flags import adopt_orphans
adopt_orphans()
for name in sys.argv[1:]:
    __import__(name)
preloaded.remember()
channel = Channel(socket.socket(fileno=3))
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
while True:
    try:
        message = channel.receive()
    except EOFError:
        os._exit(0)
    if message.header["type"] == "wait":
        channel.send({"status": os.waitpid(message.header["pid"], 0)[1]})
        continue
    pid = os.fork()
    if pid:
        for descriptor in message.descriptors:
            os.close(descriptor)
        channel.send({"pid": pid})
        continue
    os.setsid()
    channel.close()
    private, out, err = message.descriptors
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.dup2(private, 250, inheritable=False)
    os.closerange(3, 250)
    os.chdir(message.header["workspace"])
    main(Channel(socket.socket(fileno=250)), message.header)
"""


class Template:
    """The process that interpreters are forked from."""

    def __init__(self, environment: dict[str, str] | None = None, preload: tuple[str, ...] = ()) -> None:
        ours, theirs = pair()
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"import os; os.dup2({theirs.fileno()}, 3); os.closerange(4, {theirs.fileno() + 1})\n{_TEMPLATE}",
                *preload,
            ],
            pass_fds=[theirs.fileno()],
            env={**kept, "PYTHONPATH": _WORKER_IMAGE, "PYTHONHASHSEED": "0", **(environment or {})},
            cwd="/",
        )
        theirs.close()
        self.channel = Channel(ours)

    def fork(self, descriptors: tuple[int, int, int], header: dict[str, Any]) -> int:
        """Fork an interpreter; return its pid."""
        self.channel.send({"type": "fork", **header}, (), descriptors)
        return int(self.channel.receive().header["pid"])

    def wait(self, pid: int) -> int:
        """Return the wait status of an interpreter that has died."""
        self.channel.send({"type": "wait", "pid": pid})
        return int(self.channel.receive().header["status"])

    def close(self) -> None:
        """End it."""
        self.channel.close()
        self._process.wait(SECONDS)


@dataclass
class Done:
    """One operation, as the supervisor saw it."""

    header: dict[str, Any]
    result: dict[str, bytes]
    events: list[tuple[str, Any]] = field(default_factory=list)
    """("stdout" or "stderr", bytes) and ("display", header, data by MIME type), in the order of arrival."""

    @property
    def ok(self) -> bool:
        return bool(self.header["ok"])

    @property
    def error(self) -> dict[str, Any]:
        error = self.header["error"]
        assert error is not None, self
        assert isinstance(error, dict)
        return error

    @property
    def text(self) -> str | None:
        """The plain text of the result."""
        data = self.result.get("text/plain")
        return None if data is None else data.decode()

    @property
    def json(self) -> Any:
        """The decoded JSON of the result; KeyError where it has none."""
        return json.loads(self.result["application/json"])

    @property
    def stdout(self) -> str:
        return self._stream("stdout")

    @property
    def stderr(self) -> str:
        return self._stream("stderr")

    @property
    def displays(self) -> list[dict[str, bytes]]:
        return [event[2] for event in self.events if event[0] == "display"]

    @property
    def display_headers(self) -> list[dict[str, Any]]:
        return [event[1] for event in self.events if event[0] == "display"]

    def _stream(self, name: str) -> str:
        return b"".join(event[1] for event in self.events if event[0] == name).decode(
            "utf-8", "backslashreplace"
        )


class Died(Exception):
    """The interpreter died; ``status`` is its wait status, ``events`` what it left."""

    def __init__(self, status: int, events: list[tuple[str, Any]]) -> None:
        super().__init__(f"exit code {os.waitstatus_to_exitcode(status)}: {events}")
        self.status = status


class Interpreter:
    """The supervisor's side of one interpreter."""

    def __init__(self, template: Template, workspace: Path, **settings: Any) -> None:
        self.template = template
        self.workspace = workspace
        self._sock, theirs = pair()
        self._out, out = os.pipe()
        self._err, err = os.pipe()
        header = {"workspace": str(workspace), "missing_walls": [], **settings}
        self.pid = template.fork((theirs.fileno(), out, err), header)
        self._pidfd = os.pidfd_open(self.pid)
        theirs.close()
        os.close(out)
        os.close(err)
        for descriptor in (self._out, self._err):
            os.set_blocking(descriptor, False)
        self._assembler = Assembler()
        self.events: list[tuple[str, Any]] = []
        self.count = 0
        self.reading = True
        self.status: int | None = None
        self._interrupting = False
        self.ready = self.receive("ready")

    def send(self, header: dict[str, Any], *blobs: bytes) -> None:
        """Send it a message."""
        for packet in encode(header, blobs):
            self._sock.send(packet)

    def start(self, code: str | bytes, **options: Any) -> str:
        """Have ``code`` executed; return the operation's id. ``options`` go into the message."""
        self.count += 1
        operation = f"operation-{self.count}"
        source = code if isinstance(code, bytes) else code.encode("utf-8", "surrogatepass")
        header = {"type": "execute", "operation": operation, "execution_count": self.count, **options}
        self.send(header, source)
        return operation

    def finish(self) -> Done:
        """Wait for the end of what runs."""
        message = self.receive("done")
        self._drain()
        events, self.events = self.events, []
        assert message.header["operation"] == f"operation-{self.count}"
        return Done(message.header, dict(zip(message.header["mime"], message.blobs, strict=True)), events)

    def run(self, code: str | bytes) -> Done:
        """Execute ``code`` and wait for its end."""
        self.start(code)
        return self.finish()

    def ok(self, code: str) -> Done:
        """The same, of code that must not fail."""
        done = self.run(code)
        assert done.ok, done.error["traceback_text"]
        return done

    def interrupt(self) -> None:
        """Have the operation interrupted as the supervisor does: soon, and again and again until it ends."""
        self._interrupting = True
        give_up = time.monotonic() + SECONDS
        while not self._interrupted():
            assert time.monotonic() < give_up, "SIGINT stays blocked"
            self._poll(0.001)

    def stop_interrupting(self) -> None:
        """What was to be interrupted is over."""
        self._interrupting = False

    def _interrupted(self) -> bool:
        """Send SIGINT to the main thread where it is not blocked."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            blocked = next(line for line in file if line.startswith("SigBlk:"))
        if int(blocked.split()[1], 16) & 2:
            return False
        system_call(number_of("tgkill"), self.pid, self.pid, signal.SIGINT)
        return True

    def output_until(self, text: str) -> None:
        """Wait until ``text`` was written to stdout: a sign of user code that it has come so far."""
        give_up = time.monotonic() + SECONDS
        while text not in b"".join(event[1] for event in self.events if event[0] == "stdout").decode():
            assert time.monotonic() < give_up, f"no {text!r}: {self.events}"
            self._poll()

    def receive(self, kind: str) -> Any:
        """Wait for a message of this type. Displays are kept on the way; :class:`Died` where it dies."""
        message = self.receive_any()
        self.stop_interrupting()
        assert message.header["type"] == kind, message
        return message

    def receive_any(self) -> Any:
        """Wait for a message of any type. Displays are kept on the way; :class:`Died` where it dies."""
        give_up = time.monotonic() + SECONDS
        while time.monotonic() < give_up:
            message = self._poll(0.05 if self._interrupting else 1.0)
            if message is not None:
                return message
            if self._interrupting:
                self._interrupted()
        raise AssertionError(f"nothing within {SECONDS} s: {self.events}")

    def close(self) -> None:
        """Kill what is left of it, and what its user code has started: an interrupt may leave a child behind."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._died()
        self._sock.close()
        for descriptor in (self._out, self._err, self._pidfd):
            os.close(descriptor)

    def hang_up(self) -> None:
        """Close the supervisor's end of the channel."""
        self._sock.shutdown(socket.SHUT_RDWR)

    def wait(self) -> int:
        """Wait for its death; return the wait status."""
        assert select.select([self._pidfd], [], [], SECONDS)[0], "it lives on"
        return self._died()

    def thread_count(self) -> int:
        """How many threads its process has."""
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def _poll(self, seconds: float = 1.0) -> Any:
        """Take one thing that has come or comes within ``seconds``; return a message that is no display."""
        sources = [self._sock.fileno(), self._pidfd]
        if self.reading:
            sources = [self._out, self._err, *sources]
        ready = select.select(sources, [], [], seconds)[0]
        for descriptor, name in ((self._out, "stdout"), (self._err, "stderr")):
            if descriptor in ready:
                self._read(descriptor, name)
                return None
        if self._sock.fileno() in ready:
            try:
                message = self._assembler.add(receive_packet(self._sock))
            except (EOFError, ConnectionResetError):
                self._drain()
                raise Died(self._died(), self.events) from None
            if message is None or message.pid != self.pid:
                return None
            if message.header["type"] != "display":
                return message
            data = dict(zip(message.header["mime"], message.blobs, strict=True))
            self.events.append(("display", message.header, data))
        elif self._pidfd in ready:
            self._drain()
            raise Died(self._died(), self.events)
        return None

    def _read(self, descriptor: int, name: str) -> bool:
        try:
            data = os.read(descriptor, 65536)
        except BlockingIOError:
            return False
        if not data:  # nobody has the write end any more: select would report it for ever
            self.reading = False
            return False
        self.events.append((name, data))
        return True

    def _drain(self) -> None:
        for descriptor, name in ((self._out, "stdout"), (self._err, "stderr")):
            while self._read(descriptor, name):
                pass

    def _died(self) -> int:
        if self.status is None:
            self.status = self.template.wait(self.pid)
        return self.status
