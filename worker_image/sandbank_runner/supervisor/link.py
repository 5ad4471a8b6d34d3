"""The supervisor's door: listens, greets, finds out what each connection is for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Protocol

from google.protobuf.message import DecodeError

from sandbank_runner.supervisor.connection import Connection
from sandbank_runner.supervisor.frames import FRAME_BYTES
from sandbank_runner.v1.runner_pb2 import (
    PURPOSE_CONTROL,
    PURPOSE_FILES,
    PURPOSE_STATE,
    FromRunner,
    Hello,
    ToRunner,
)

PROTOCOL_VERSION = 1
"""What this supervisor speaks; there is no older one to serve yet."""

OPEN_SECONDS = 5.0
"""How long a connection may take to say what it is for."""

CONNECTIONS = 128
"""More at once are not accepted: each costs a descriptor of a process that must not run out of them."""

_BACKLOG = 64
_PAUSE_SECONDS = 0.5


class Door(Protocol):
    """What is behind the link."""

    def hello(self) -> Hello:
        """Return what is to be told to whoever comes now."""

    def control_opened(self, connection: Connection, hello: Hello) -> None:
        """A CONTROL connection takes over; it was greeted with ``hello``."""

    def control_message(self, connection: Connection, message: ToRunner) -> None:
        """Something came on the CONTROL connection. ValueError where it makes no sense: the connection is closed."""

    def control_closed(self) -> None:
        """There is no CONTROL connection any more."""

    def files_opened(self, sock: socket.socket) -> None:
        """A FILES connection was opened, of which only its Open was read. The socket is the callee's now."""

    def state_opened(self, sock: socket.socket, token: str) -> None:
        """Likewise a STATE connection."""


class Link:
    """The listening socket and its connections."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: str, door: Door) -> None:
        self.control: Connection | None = None
        self._loop = loop
        self._path = path
        self._door = door
        self._greeted: dict[Connection, tuple[Hello, asyncio.TimerHandle]] = {}
        self._listener: socket.socket | None = None

    def listen(self) -> None:
        """Listen at the path, in place of whatever lies there. OSError where that cannot be."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(self._path)
            # Who may come this far is decided by the directories above: user code cannot pass them.
            os.chmod(self._path, 0o666)
            listener.listen(_BACKLOG)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        self._listener = listener
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Close everything."""
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        for connection in [*self._greeted, *([self.control] if self.control else [])]:
            connection.close()

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # gone again
        except OSError:
            # No descriptor or memory left. The socket stays readable: without a pause the loop would spin.
            self._loop.remove_reader(self._listener)
            self._loop.call_later(_PAUSE_SECONDS, self._resume)
            return
        if len(self._greeted) >= CONNECTIONS:
            sock.close()
            return
        connection = Connection(self._loop, sock, self._opened, self._closed)
        hello = self._door.hello()
        self._greeted[connection] = (hello, self._loop.call_later(OPEN_SECONDS, connection.close))
        connection.send(FromRunner(hello=hello).SerializeToString())

    def _resume(self) -> None:
        if self._listener is not None:
            self._loop.add_reader(self._listener, self._accept)

    def _opened(self, connection: Connection, data: bytes) -> None:
        """The first message must be Open, of a version and purpose that are known."""
        message = _parse(data)
        if (
            message is None
            or message.WhichOneof("message") != "open"
            or message.open.protocol_version != PROTOCOL_VERSION
            or message.open.purpose not in (PURPOSE_CONTROL, PURPOSE_FILES, PURPOSE_STATE)
        ):
            connection.close()
            return
        hello, timer = self._greeted.pop(connection)
        timer.cancel()
        if message.open.purpose == PURPOSE_FILES:
            self._door.files_opened(connection.release())
            return
        if message.open.purpose == PURPOSE_STATE:
            self._door.state_opened(connection.release(), message.open.token)
            return
        older, self.control = self.control, connection
        if older is not None:
            older.close()
        connection.accept_frames_of(FRAME_BYTES)
        connection.on_message = self._controlled
        self._door.control_opened(connection, hello)

    def _controlled(self, connection: Connection, data: bytes) -> None:
        message = _parse(data)
        if message is None:
            connection.close()
            return
        try:
            self._door.control_message(connection, message)
        except ValueError:
            connection.close()

    def _closed(self, connection: Connection) -> None:
        greeted = self._greeted.pop(connection, None)
        if greeted is not None:
            greeted[1].cancel()
        if connection is self.control:
            self.control = None
            self._door.control_closed()


def _parse(data: bytes) -> ToRunner | None:
    try:
        return ToRunner.FromString(data)
    except DecodeError:
        return None
