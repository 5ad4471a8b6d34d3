"""Engines that misbehave: a real HTTP server on a real Unix socket, told what to do."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

VERSION = {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.0"}


class FakeEngine(socketserver.ThreadingUnixStreamServer):
    """Answers ``/version``; everything else is ``answer``'s, called with the handler and the path."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path, answer: Callable[[Handler, str], None]) -> None:
        self.answer = answer
        self.requests: list[str] = []
        self.over = threading.Event()
        self._open: set[socket.socket] = set()
        super().__init__(str(path), Handler)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept, and remember for the end."""
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def stop(self) -> None:
        """Go away, connections and all."""
        self.over.set()
        self.shutdown()
        self.server_close()
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._thread.join()
        Path(str(self.server_address)).unlink()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: FakeEngine

    def setup(self) -> None:
        """Give the library the address that it expects."""
        self.client_address = ("unix", 0)
        super().setup()

    def do_GET(self) -> None:
        """Answer."""
        self.server.requests.append(self.path)
        if self.path.endswith("/version"):
            self.json(VERSION)
        else:
            self.server.answer(self, self.path)

    do_POST = do_DELETE = do_GET  # noqa: N815 - the library's names

    def json(self, value: object, status: int = 200) -> None:
        """Answer with JSON."""
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def begin_stream(self) -> None:
        """Answer with a stream of chunks."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, value: object) -> None:
        """Send one line of the stream."""
        data = json.dumps(value).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def fake_engine(path: Path, answer: Callable[[Handler, str], None]) -> Iterator[FakeEngine]:
    """Run an engine for a block."""
    engine = FakeEngine(path, answer)
    try:
        yield engine
    finally:
        engine.stop()


@contextmanager
def mute_engine(path: Path, backlog: int = 16) -> Iterator[socket.socket]:
    """An engine that accepts connections, as the kernel does for it, and never says anything."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(backlog)
        yield listener
