"""Interpreters whose writers and candidates do what the code that ran in them has said, in the place of the real ones.

State here is the JSON of the namespace's small values: one header out, one header in.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from typing import Any, NoReturn

from sandbank_runner.channel import Message
from sandbank_runner.files.protocol import HEADER, FrameSocket, pack_header, parse_header
from sandbank_runner.walls.clone import fork_sibling

from tests.fakes.saboteurs import THREAD, Forking

_PLAIN = (int, str, list, dict, type(None))


class Stateful(Forking):
    """Keeps to the protocol."""

    def other(self, message: Message) -> None:
        kind = message.header["type"]
        if kind == "checkpoint":
            self.checkpoint(message.header["checkpoint_id"], message.descriptors[0])
        elif kind == "checkpoint_ended":
            self.namespace.setdefault("ended", []).append(
                [message.header["checkpoint_id"], message.header["durable"]]
            )
        elif kind == "load":
            self.namespace["count"] = message.header["execution_count"]
            self.load(_Stream(message.descriptors[0]))
        elif kind == "place":
            self.place()
        elif kind == "import":
            self.bind(message.header["name"], message.header["format"], _Stream(message.descriptors[0]))
        elif kind == "export":
            self.export(message.header, message.descriptors[0])
        else:
            super().other(message)

    def checkpoint(self, checkpoint_id: str, descriptor: int) -> None:
        pid = fork_sibling(THREAD)
        if pid:
            os.close(descriptor)
            self.channel.send({"type": "writing", "checkpoint_id": checkpoint_id, "pid": self.tell(pid)})
            return
        try:
            os.setsid()
            self.channel.close()
            self.write(_Stream(descriptor))
        finally:
            os._exit(1)

    def write(self, stream: _Stream) -> NoReturn:
        plain = {
            name: value
            for name, value in self.namespace.items()
            if isinstance(value, _PLAIN) and not name.startswith("_")
        }
        stream.say(type="writer", variables=plain)
        while stream.hear()["type"] != "stored":
            pass
        os._exit(0)

    def export(self, header: dict[str, Any], descriptor: int) -> None:
        pid = fork_sibling(THREAD)
        if pid:
            os.close(descriptor)
            self.channel.send({"type": "reading", "read": header["read"], "pid": pid})
            return
        try:
            os.setsid()
            self.channel.close()
            stream = _Stream(descriptor)
            if header["name"] in self.namespace:
                value = self.namespace[header["name"]]
                stream.say(type="header", format=header["format"], value=value)
                if value == "hang":
                    signal.pause()
            else:
                stream.say(type="refused", reason="missing")
            os._exit(0)
        finally:
            os._exit(1)

    def bind(self, name: str, form: str, stream: _Stream) -> None:
        stream.say(type="importer")
        try:
            value = stream.hear()["value"]
        except EOFError:
            return self.refuse("BAD_FIELD", "it broke off")
        if value == "die":
            os._exit(9)
        if form != "json":
            return self.refuse("FORMAT_UNAVAILABLE", "JSON only")
        self.namespace[name] = value
        change = {"name": name, "kind": 1, "type_name": type(value).__name__}
        self.channel.send({"type": "imported", "change": change})
        return None

    def refuse(self, reason: Any, message: Any) -> None:
        self.channel.send({"type": "import_refused", "reason": reason, "message": message})

    def load(self, stream: _Stream) -> None:
        stream.say(type="loader")
        try:
            self.namespace.update(stream.hear()["variables"])
        except EOFError:
            self.channel.send({"type": "load_refused", "reason": "NOT_RESTORABLE", "message": "it broke off"})
            return
        stream.say(type="loaded")
        self.channel.send({"type": "loaded", "names": [], "lost": [], "files": self.has_files()})

    def has_files(self) -> bool:
        return False

    def place(self) -> None:
        with open("placed", "w") as file:
            file.write("x")
        self.channel.send({"type": "placed"})


class _Stream:
    """The interpreter's end of a STATE connection."""

    def __init__(self, descriptor: int) -> None:
        self.socket = socket.socket(fileno=descriptor)
        assert os.get_blocking(descriptor)
        self._frames = FrameSocket(self.socket)

    def say(self, **header: Any) -> None:
        self._frames.send(pack_header(header))

    def hear(self) -> dict[str, Any]:
        kind, body = self._frames.receive()
        assert kind == HEADER
        return parse_header(body)


class DiesWriting(Stateful):
    """Its writers crash half-way."""

    def write(self, stream: _Stream) -> NoReturn:
        stream.say(type="writer", variables={})
        os.kill(os.getpid(), signal.SIGSEGV)
        raise AssertionError


class Hangs(Stateful):
    """Its writers and its candidates say nothing, and let nothing end them but the kill."""

    def write(self, stream: _Stream) -> NoReturn:
        self.load(stream)
        raise AssertionError

    def load(self, stream: _Stream) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        while True:
            with contextlib.suppress(OSError):
                signal.pause()


class Refuses(Stateful):
    """Can neither write nor load."""

    def checkpoint(self, checkpoint_id: str, descriptor: int) -> None:
        os.close(descriptor)
        self.channel.send(
            {"type": "writing_refused", "checkpoint_id": checkpoint_id, "message": "no\ud800 " * 500}
        )

    def load(self, stream: _Stream) -> None:
        self.channel.send({"type": "load_refused", "reason": ["FILES"], "message": 7})


class BindsNothing(Stateful):
    """Has no sensible word for imports: a change that is none, reasons that are none, or none at all."""

    def bind(self, name: str, form: str, stream: _Stream) -> None:
        value = stream.hear()["value"]
        if value == "silence":
            while True:
                signal.pause()
        elif value == "change":
            self.channel.send({"type": "imported", "change": {"kind": "\ud800"}})
        else:
            self.refuse(value, value)


class LiesAboutWriters(Stateful):
    """Names its own process, the template's, or what is no number, as its writer."""

    def tell(self, pid: int) -> int:
        turn = self.namespace["turn"] = self.namespace.get("turn", 0) + 1
        if turn == 1:
            return os.getpid()
        if turn == 2:
            return os.getppid()
        return [pid] if turn == 3 else -pid  # type: ignore[return-value]


class TalksOfForks(Stateful):
    """Says what nobody asked for before it says what was asked for."""

    def checkpoint(self, checkpoint_id: str, descriptor: int) -> None:
        for name in (None, [], {}, 7, "another", checkpoint_id * 100):
            self.channel.send({"type": "writing", "checkpoint_id": name, "pid": 1})
            self.channel.send({"type": "reading", "read": name, "pid": 1})
        self.channel.send({"type": "loaded"})
        self.channel.send({"type": "placed"})
        super().checkpoint(checkpoint_id, descriptor)


class DiesLoading(Stateful):
    """Its candidates crash half-way, having started something."""

    def load(self, stream: _Stream) -> None:
        stream.say(type="loader")
        stream.hear()
        os._exit(9)


class StartsProcesses(Stateful):
    """Its candidates start a process, then crash."""

    def load(self, stream: _Stream) -> None:
        pid = os.fork()
        if pid == 0:
            while True:
                signal.pause()
        stream.say(type="loader", pid=pid)
        stream.hear()
        os._exit(9)


class DiesLoaded(Stateful):
    """Its candidates crash as soon as they have everything."""

    def load(self, stream: _Stream) -> None:
        super().load(stream)
        os._exit(9)


class HasFiles(Stateful):
    """Has files to place, which fails where the workspace has a file named `full`."""

    def has_files(self) -> bool:
        return True

    def place(self) -> None:
        if os.path.exists("full"):
            self.channel.send({"type": "place_refused", "message": "no space left"})
        else:
            super().place()


class Loud(Stateful):
    """Writes while it loads."""

    def load(self, stream: _Stream) -> None:
        os.write(1, b"loading\n" * 10_000)
        super().load(stream)
