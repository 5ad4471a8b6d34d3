"""Interpreters that misbehave, in the place of the real one: preloaded into the template by the name in SABOTEUR.

Each runs the code it is given with ``exec`` where it behaves, so that a test can say by code what is to happen.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

import sandbank_runner.interpreter
from sandbank_runner.channel import Channel, Message, encode
from sandbank_runner.walls.clone import fork_sibling, native_thread


class Honest:
    """Does what PROTOCOL.md says, and no more; for what the supervisor itself has to get right."""

    named: ClassVar[dict[str, type[Honest]]] = {}

    def __init_subclass__(cls) -> None:
        Honest.named[cls.__name__] = cls

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.namespace: dict[str, Any] = {"interpreter": self}

    def run(self) -> NoReturn:
        signal.signal(signal.SIGINT, self.interrupted)
        self.channel.send({"type": "ready", "pid": os.getpid(), "missing_walls": []})
        while True:
            try:
                message = self.channel.receive()
            except EOFError:
                os._exit(0)
            if message.header["type"] == "setup":
                self.namespace["secret"] = message.header["secret"]
                self.setup(message.header["env"])
            elif message.header["type"] == "snapshot":
                self.snapshot(message.header["snapshot"], message.descriptors[0])
            elif message.header["type"] != "execute":
                self.other(message)
            else:
                self.execute(message.header["operation"], message.blobs[0].decode())

    def other(self, message: Message) -> None:
        """Something that this one knows nothing of."""
        for descriptor in message.descriptors:
            os.close(descriptor)

    def setup(self, env: Mapping[str, str]) -> None:
        os.environ.update(env)
        self.channel.send({"type": "setup_done"})

    def snapshot(self, number: int, descriptor: int) -> None:
        os.close(descriptor)
        self.channel.send(
            {
                "type": "snapshot_refused",
                "snapshot": number,
                "reason": "fork",
                "message": "none today",
                "threads": [],
            }
        )

    def execute(self, operation: str, code: str) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        error = None
        try:
            exec(code, self.namespace)
        except BaseException as caught:
            error = {
                "type_name": type(caught).__name__,
                "message": str(caught),
                "traceback_text": "",
                "frames": [],
            }
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        self.done(
            operation, error=error, interrupted=bool(error and error["type_name"] == "KeyboardInterrupt")
        )

    def done(self, operation: str, blobs: tuple[bytes, ...] = (), **fields: Any) -> None:
        self.channel.send(
            {
                "type": "done",
                "operation": operation,
                "ok": fields.get("error") is None,
                "mime": [f"x/{number}" for number in range(len(blobs))],
                "error": None,
                "interrupted": False,
                "cpu_seconds": 0.25,
                "peak_memory_bytes": 1000,
                **fields,
            },
            blobs,
        )

    def display(self, operation: str, *blobs: bytes, **fields: Any) -> None:
        self.channel.send(
            {
                "type": "display",
                "operation": operation,
                "mime": [f"x/{number}" for number in range(len(blobs))],
                "metadata": {},
                "display_id": "",
                "update": False,
                **fields,
            },
            blobs,
        )

    def interrupted(self, number: int, frame: object) -> None:
        raise KeyboardInterrupt


class Babbler(Honest):
    """Shows something for ever, until it is interrupted."""

    def execute(self, operation: str, code: str) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        try:
            while True:
                self.display(operation, b"*" * 50_000)
        except KeyboardInterrupt:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            error = {"type_name": "KeyboardInterrupt", "message": "", "traceback_text": "", "frames": []}
            self.done(operation, error=error, interrupted=True)


class Chatterbox(Honest):
    """Tells of output in pieces of one byte for ever, between pieces that are none; deaf to every interrupt."""

    def execute(self, operation: str, code: str) -> None:
        while True:
            for stream, data in ((1, b"x"), (3, b"x"), (1, b""), ("1", b"x"), (True, b"x")):
                self.channel.send({"type": "output", "operation": operation, "stream": stream}, (data,))
            self.channel.send({"type": "output", "operation": operation, "stream": 1})
            self.channel.send({"type": "output", "operation": "another", "stream": 1}, (b"x",))


class Forger(Honest):
    """Lets a forked process speak in its name before it speaks itself."""

    def execute(self, operation: str, code: str) -> None:
        pid = os.fork()
        if pid == 0:
            self.channel.sock.send(b"")  # would read as the end of the channel
            self.display(operation, b"forged")
            self.done(operation, (b"forged",))
            os._exit(0)
        os.waitpid(pid, 0)
        self.done(operation, (b"true",))


class GarbageSpeaker(Honest):
    """Says everything that is wrong before it says what is right."""

    def execute(self, operation: str, code: str) -> None:
        send = self.channel.sock.send
        send(b"")
        send(b"\x00")
        send(b"\x07\xff\xff\xff\xff")
        send(b"\x00" + struct.pack(">I", 2**32 - 1) + b"{}")
        for header in (
            b"null",
            b"[]",
            b"{",
            b"\xff",
            b"[" * 50_000,
            b'{"blobs":[-1]}',
            b'{"blobs":[9]}',
            b"9" * 5000,
        ):
            send(b"\x00" + struct.pack(">I", len(header)) + header)
        send(b"\x01unfinished")
        for packet in encode({"type": "done", "operation": operation}):
            send(packet)  # belongs to the unfinished one
        for header in (
            {"type": "nonsense"},
            {"type": ["done"], "operation": operation},
            {"type": "done", "operation": "another"},
            {"type": "done", "operation": operation, "ok": "yes"},
            {"type": "done", "operation": operation, "ok": True, "mime": ["a"], "cpu_seconds": 0},
            {"type": "done", "operation": operation, "ok": False, "error": "text", "cpu_seconds": 0},
            {"type": "display", "operation": operation, "mime": 7},
            {"type": "display", "operation": operation, "mime": [], "metadata": {"a": float("nan")}},
            {"type": "ready", "pid": 1},
            {"type": "setup_done"},
        ):
            self.channel.send(header)
        with socket.socket() as stranger:
            self.channel.send({"type": "nonsense"}, descriptors=(stranger.fileno(),))
        self.done(operation, (b"true",))


class Sleeper(Honest):
    """Blocks every signal that can be blocked and never answers."""

    def execute(self, operation: str, code: str) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        while True:
            signal.pause()


class Swallower(Honest):
    """Takes the interrupt and goes on."""

    def execute(self, operation: str, code: str) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        while True:
            signal.pause()


class Flooder(Honest):
    """Writes as many megabytes as the code says, to both pipes."""

    def execute(self, operation: str, code: str) -> None:
        block = b"x" * 65536
        for _ in range(int(code) * 8):
            os.write(1, block)
            os.write(2, block)
        self.done(operation)


class Giant(Honest):
    """Has a result of as many megabytes as the code says, and a small one."""

    def execute(self, operation: str, code: str) -> None:
        self.done(operation, (b"x" * (int(code) << 20), b"small"))


class Liar(Honest):
    """Claims what cannot be, within the protocol."""

    def execute(self, operation: str, code: str) -> None:
        error = {
            "type_name": "\ud800" * 1000,
            "message": "m" * 1_000_000,
            "traceback_text": "\udcff",
            "frames": [{"file_name": "f", "line_number": 10**30, "function_name": None, "source_line": ""}]
            * 1000,
            "syntax_error": {"line": -5, "column": 1, "end_line": None, "end_column": 2**40, "text": "t"},
        }
        self.done(
            operation,
            ok=False,
            error=error,
            interrupted=True,
            cpu_seconds=1e308 * 10,
            peak_memory_bytes=-(10**30),
        )


class Stillborn(Honest):
    """Dies before it is ready."""

    def run(self) -> NoReturn:
        os._exit(9)


class Fragile(Honest):
    """Dies of its environment."""

    def setup(self, env: Mapping[str, str]) -> None:
        os._exit(4)


class Talkative(Honest):
    """Speaks after its operation is over, and says the end twice."""

    def execute(self, operation: str, code: str) -> None:
        self.done(operation, (b"first",))
        self.done(operation, (b"second",))
        self.display(operation, b"late")


class Haunted(Honest):
    """Leaves processes behind that hold its pipes and its channel and write without an end, then dies."""

    def execute(self, operation: str, code: str) -> None:
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                while True:
                    os.write(1, b"boo\n")
        os._exit(3)


class Forking(Honest):
    """Makes snapshots as an honest one does."""

    def snapshot(self, number: int, descriptor: int) -> None:
        pid = fork_sibling(THREAD)
        if pid:
            os.close(descriptor)
            self.channel.send({"type": "snapshot_taken", "snapshot": number, "pid": self.tell(pid)})
            return
        self.channel.close()
        self.channel = Channel(socket.socket(fileno=descriptor))
        self.fall_asleep(number)
        while True:
            try:
                message = self.channel.receive()
            except EOFError:
                os._exit(0)
            if message.header["type"] == "wake":
                self.wake(number)
                return
            self.other(message)

    def tell(self, pid: int) -> int:
        return pid

    def fall_asleep(self, number: int) -> None:
        self.channel.send({"type": "asleep", "snapshot": number})

    def wake(self, number: int, **fields: Any) -> None:
        self.channel.send({"type": "awake", "snapshot": number, **fields})


class PidThief(Forking):
    """Says that its snapshot is the template."""

    def tell(self, pid: int) -> int:
        with open(f"/proc/{os.getppid()}/task/{os.getppid()}/children", encoding="ascii") as file:
            for child in file.read().split():
                with open(f"/proc/{child}/comm", encoding="ascii") as name:
                    if name.read().strip() == "template":
                        return int(child)
        raise AssertionError


class OwnSnapshot(Forking):
    """Says that it is its own snapshot, and that it sleeps."""

    def snapshot(self, number: int, descriptor: int) -> None:
        Channel(socket.socket(fileno=os.dup(descriptor))).send({"type": "asleep", "snapshot": number})
        self.channel.send({"type": "snapshot_taken", "snapshot": number, "pid": os.getpid()})


class WrongNumber(Forking):
    """Its sleepers think that they are others."""

    def fall_asleep(self, number: int) -> None:
        super().fall_asleep(number + 1)


class DiesWaking(Forking):
    """Snapshots of an odd number do not survive it."""

    def wake(self, number: int, **fields: Any) -> None:
        if number % 2:
            os._exit(5)
        super().wake(number)


class TalksInItsSleep(Forking):
    """Its sleepers say all that sleepers do not say, and more when they wake."""

    def fall_asleep(self, number: int) -> None:
        super().fall_asleep(number)
        for operation in ("a", "b", "c"):
            self.done(operation, (b"dreamt",))
            self.display(operation, b"dreamt")
        self.channel.send({"type": "awake", "snapshot": number, "warnings": [{"code": "DREAMT"}]})
        self.channel.send({"type": "snapshot_taken", "snapshot": number, "pid": 1})
        self.channel.sock.send(b"\x00garbage")

    def wake(self, number: int, **fields: Any) -> None:
        super().wake(number, warnings=[7, {"code": []}], files="many", files_truncated="perhaps")
        super().wake(number, warnings=[{"code": "LATE"}])


class Verbose(Forking):
    """Has more to say of its waking than anybody can read."""

    def wake(self, number: int, **fields: Any) -> None:
        warnings = [{"code": "C" * 300, "message": "m\ud800" * 3000, "names": ["n"] * 300}] * 99
        files = [[f"file-{number}", 2] for number in range(5000)]
        super().wake(number, warnings=warnings, files=files, files_truncated=False)


THREAD = native_thread()
Honest.named["Honest"] = Honest


def _main(channel: Channel, settings: Mapping[str, Any]) -> NoReturn:
    Honest.named[settings["environment"]["SABOTEUR"]](channel).run()


sandbank_runner.interpreter.main = _main
