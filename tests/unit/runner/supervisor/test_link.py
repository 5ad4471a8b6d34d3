"""What of the link cannot be seen from outside in good time."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from sandbank_runner.supervisor import link as link_module
from sandbank_runner.supervisor.connection import Connection
from sandbank_runner.supervisor.link import Link
from sandbank_runner.v1.runner_pb2 import Hello, ToRunner


class Door:
    """Behind it is nothing."""

    def hello(self) -> Hello:
        """Greet."""
        return Hello(sandbox_id="x")

    def control_opened(self, connection: Connection, hello: Hello) -> None:
        """Nothing to do."""

    def control_message(self, connection: Connection, message: ToRunner) -> None:
        """Nothing to do."""

    def control_closed(self) -> None:
        """Nothing to do."""

    def files_opened(self, sock: socket.socket) -> None:
        """Close it."""
        sock.close()

    def state_opened(self, sock: socket.socket, token: str) -> None:
        """Close it."""
        sock.close()


async def test_who_says_nothing_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A connection has so long to say what it is for."""
    monkeypatch.setattr(link_module, "OPEN_SECONDS", 0.05)
    link = Link(asyncio.get_running_loop(), str(tmp_path / "s"), Door())
    link.listen()
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
    await asyncio.wait_for(reader.read(), 20)
    writer.close()
    await writer.wait_closed()
    link.close()


async def test_it_takes_the_place_of_a_socket_left_behind(tmp_path: Path):
    """A supervisor that was killed leaves its socket; and on closing it is gone."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    link = Link(asyncio.get_running_loop(), str(path), Door())
    link.listen()
    assert path.stat().st_mode & 0o777 == 0o666
    link.close()
    assert not path.exists()
