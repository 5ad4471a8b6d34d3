"""The supervisor's end of a channel, with a real socket pair and real senders."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator

import pytest
from sandbank_runner.channel import Channel, Message, encode, pair
from sandbank_runner.supervisor.endpoint import Endpoint


class Bench:
    """An endpoint, the other end of its channel, and what has come."""

    def __init__(self) -> None:
        ours, self.theirs = pair()
        self.got: asyncio.Queue[Message] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.endpoint = Endpoint(asyncio.get_running_loop(), ours, self.got.put_nowait, self.ended.set)

    async def next(self) -> Message:
        """Wait for a message."""
        return await asyncio.wait_for(self.got.get(), 20)


@pytest.fixture
async def bench() -> Iterator[Bench]:
    """An endpoint that listens to this process."""
    made = Bench()
    made.endpoint.listen_to(os.getpid())
    yield made
    made.endpoint.close()
    made.theirs.close()


def in_child(work) -> None:
    """Run ``work`` in a forked process and wait for it."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


async def test_only_the_expected_process_is_heard(bench: Bench):
    """A child speaks on the same socket: dropped, also in the middle of a message of its parent's."""
    first, *rest = encode({"type": "long"}, (b"x" * 70_000,))
    bench.theirs.send(first)
    in_child(lambda: [bench.theirs.send(packet) for packet in (*rest, *encode({"type": "forged"}))])
    for packet in rest:
        bench.theirs.send(packet)
    message = await bench.next()
    assert message.header == {"type": "long"}
    assert message.blobs == (b"x" * 70_000,)
    assert bench.endpoint.dropped_packets == len(rest) + 1
    assert bench.got.empty()


@pytest.mark.parametrize("packet", [b"", b"\x00", b"\x00\xff\xff\xff\xff", b"\x00\0\0\0\x02{]"])
async def test_what_is_malformed_is_dropped_and_counted(bench: Bench, packet: bytes):
    """An empty packet is not the end; the next message is heard."""
    bench.theirs.send(packet)
    Channel(bench.theirs).send({"type": "good"})
    assert (await bench.next()).header == {"type": "good"}
    assert bench.endpoint.dropped_packets == 1
    assert not bench.ended.is_set()


async def test_descriptors_that_nobody_asked_for_are_closed(bench: Bench):
    """From whoever they come."""
    before = len(os.listdir("/proc/self/fd"))
    with socket.socket() as stranger:
        for _ in range(20):
            Channel(bench.theirs).send({"type": "gift"}, descriptors=(stranger.fileno(), stranger.fileno()))
            await bench.next()
        in_child(lambda: Channel(bench.theirs).send({"type": "gift"}, descriptors=(stranger.fileno(),)))
        Channel(bench.theirs).send({"type": "last"})
        await bench.next()
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_message_larger_than_the_socket_takes_waits(bench: Bench):
    """Sending never blocks; descriptors travel with the first packet and are closed here."""
    given = os.open(os.devnull, os.O_RDONLY)
    bench.endpoint.send({"type": "big"}, (b"y" * 5_000_000,), give=(given,))
    bench.endpoint.send({"type": "after"})
    received = await asyncio.to_thread(lambda: [Channel(bench.theirs).receive() for _ in range(2)])
    assert [message.header["type"] for message in received] == ["big", "after"]
    assert received[0].blobs == (b"y" * 5_000_000,)
    os.close(received[0].descriptors[0])
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(given)


async def test_a_receiver_that_is_gone_is_no_error(bench: Bench):
    """Its death is told elsewhere; the end of the channel once."""
    bench.theirs.close()
    bench.endpoint.send({"type": "nobody hears"})
    await asyncio.wait_for(bench.ended.wait(), 20)
    bench.endpoint.send({"type": "nobody hears"})
