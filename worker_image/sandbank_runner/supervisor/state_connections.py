"""STATE connections: kept by their tokens until the request comes that each is for.

Nothing is read from them and nothing said: what is said is between the control plane and a process of user code.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable

from sandbank_runner.files.protocol import pack_header
from sandbank_runner.supervisor.refusals import Refusal

CONNECTIONS = 16
"""As many wait at once; more are closed."""
KEPT_SECONDS = 60.0
"""How long one waits for its request."""
ARRIVAL_SECONDS = 5.0
"""How long a request waits for its connection, which is another socket: neither knows when the other is read."""
TOKEN_CHARACTERS = 128

UNKNOWN = Refusal(
    "SESSION_BUSY", "the connection for the state is not there: it was never opened, was used, or broke off"
)


class StateConnection:
    """One connection at work. It is cut where the work fails: whoever still holds it has no use for it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop: asyncio.AbstractEventLoop | None = None

    def say(self, header: dict[str, object]) -> None:
        """Say something small before anybody else does. OSError where nobody takes it."""
        frame = pack_header(header)
        if self._sock.send(frame, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL) != len(frame):
            raise OSError("a connection that is full")

    def watch(self, loop: asyncio.AbstractEventLoop, ended: Callable[[], None]) -> None:
        """Call ``ended`` once when the other side hangs up, or speaks although it is only to listen."""
        self._loop = loop

        def heard() -> None:
            self._unwatch()
            ended()

        loop.add_reader(self._sock, heard)

    def give(self) -> int:
        """Return a descriptor of it for the process that does the work; whoever takes it closes it."""
        self._sock.setblocking(True)
        return os.dup(self._sock.fileno())

    def cut(self) -> None:
        """End it for everybody."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self.close()

    def close(self) -> None:
        """Let go of it. Idempotent."""
        self._unwatch()
        self._sock.close()

    def _unwatch(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.remove_reader(self._sock)


class StateConnections:
    """Those that wait: for their request, or, once that has named them, for its turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[str, tuple[socket.socket, asyncio.TimerHandle]] = {}
        self._awaited: dict[str, asyncio.Future[None]] = {}
        self._named: dict[str, bool] = {}
        """Tokens that requests have named whose turn has not come; True where the connection has ended meanwhile."""

    def __len__(self) -> int:
        return len(self._waiting)

    def name(self, token: str) -> None:
        """A request has come, whose turn comes later: until :meth:`unname` its connection is kept."""
        self._named[token] = False
        if token in self._waiting:
            self._waiting[token][1].cancel()

    def unname(self, token: str) -> None:
        """The request was answered: a connection that it did not take is closed. Idempotent."""
        if self._named.pop(token, None) is not None:
            self._forget(token)

    def open(self, sock: socket.socket, token: str) -> None:
        """Keep a connection. One without a token of its own, or one too many, is closed."""
        unnamed = len(self._waiting.keys() - self._named.keys())  # the others are as many as requests wait
        if (
            not 0 < len(token) <= TOKEN_CHARACTERS
            or token in self._waiting
            or (token not in self._named and unnamed >= CONNECTIONS)
        ):
            sock.close()
            return
        timer = self._loop.call_later(KEPT_SECONDS, self._forget, token)
        self._waiting[token] = sock, timer
        if token in self._named:
            timer.cancel()
        self._loop.add_reader(sock, self._readable, token)
        awaited = self._awaited.get(token)
        if awaited is not None and not awaited.done():
            awaited.set_result(None)

    async def take(self, token: str) -> StateConnection | None:
        """Return the connection of a token, which is used up; None where there is none, nor comes in time."""
        ended = self._named.get(token, False)
        if token not in self._waiting and token and token not in self._awaited and not ended:
            arrival = self._awaited[token] = self._loop.create_future()
            try:
                await asyncio.wait({arrival}, timeout=ARRIVAL_SECONDS)
            finally:
                del self._awaited[token]
        sock = self._let_go(token)
        return None if sock is None else StateConnection(sock)

    def close(self) -> None:
        """Close all."""
        for token in tuple(self._waiting):
            self._forget(token)

    def _readable(self, token: str) -> None:
        """It has ended, or somebody speaks: that is for the process that will do the work."""
        sock, _ = self._waiting[token]
        try:
            ended = not sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            ended = True
        if ended:
            self._forget(token)
        else:
            self._loop.remove_reader(sock)  # it would be told again and again

    def _forget(self, token: str) -> None:
        if token in self._named:
            self._named[token] = True
        sock = self._let_go(token)
        if sock is not None:
            sock.close()

    def _let_go(self, token: str) -> socket.socket | None:
        found = self._waiting.pop(token, None)
        if found is None:
            return None
        sock, timer = found
        timer.cancel()
        self._loop.remove_reader(sock)
        return sock
