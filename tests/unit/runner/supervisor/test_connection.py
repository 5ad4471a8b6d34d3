"""One connection, with a real socket pair."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from sandbank_runner.supervisor.connection import BACKLOG_BYTES, Connection
from sandbank_runner.supervisor.frames import GREETING_BYTES, frame


class Bench:
    """A connection and its other end."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.closed = asyncio.Event()
        ours, self.other = socket.socketpair()
        self.other.setblocking(False)
        loop = asyncio.get_running_loop()
        self.connection = Connection(loop, ours, self._take, lambda _: self.closed.set())

    def _take(self, connection: Connection, message: bytes) -> None:
        self.got.append(message)

    async def send(self, data: bytes) -> None:
        """Write to the connection."""
        await asyncio.get_running_loop().sock_sendall(self.other, data)

    async def read(self, size: int) -> bytes:
        """Read so much of what it sent."""
        data = b""
        while len(data) < size:
            more = await asyncio.get_running_loop().sock_recv(self.other, size - len(data))
            if not more:
                break
            data += more
        return data


@pytest.fixture
async def bench() -> Iterator[Bench]:
    """A connection under test."""
    made = Bench()
    yield made
    made.connection.close()
    made.other.close()


async def test_a_greeting_must_be_short(bench: Bench):
    """Until it has said what it is for, a connection may cost next to nothing."""
    await bench.send(frame(b"x" * GREETING_BYTES))
    await bench.send(frame(b"x" * (GREETING_BYTES + 1)))
    await asyncio.wait_for(bench.closed.wait(), 20)
    assert [len(message) for message in bench.got] == [GREETING_BYTES]


async def test_what_the_socket_does_not_take_waits_in_order(bench: Bench):
    """Nothing lost, nothing twice, whatever the sizes."""
    messages = [bytes([number]) * (number * 9973) for number in range(60)]
    for message in messages:
        bench.connection.send(message)
    expected = b"".join(map(frame, messages))
    assert await asyncio.wait_for(bench.read(len(expected)), 20) == expected
    assert not bench.connection.closed


async def test_who_does_not_read_is_hung_up_on(bench: Bench):
    """Beyond the bound the connection closes, and more is no error."""
    for _ in range(BACKLOG_BYTES // (1 << 20) + 2):
        bench.connection.send(b"x" * (1 << 20))
    assert bench.connection.closed
    assert bench.closed.is_set()
    bench.connection.send(b"more")


async def test_a_socket_that_is_given_away_has_what_follows(bench: Bench):
    """Bytes that came with the last frame belong to the next owner: they are still in the socket."""
    taken = asyncio.get_running_loop().create_future()
    bench.connection.on_message = lambda connection, message: taken.set_result(connection.release())
    await bench.send(frame(b"open") + b"rest")
    with await asyncio.wait_for(taken, 20) as sock:
        assert not bench.closed.is_set()
        await bench.send(b"!")
        assert sock.recv(10) == b"rest!"


async def test_the_other_end_hanging_up_closes_it_once(bench: Bench):
    """Also when it is closed again."""
    bench.other.close()
    await asyncio.wait_for(bench.closed.wait(), 20)
    bench.closed.clear()
    bench.connection.close()
    assert not bench.closed.is_set()
