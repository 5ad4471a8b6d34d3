"""The pumps, with real pipes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
from sandbank_runner.supervisor.pumps import WINDOW_SECONDS, Pumps


class Sink:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, bytes]] = []
        self.changed = asyncio.Event()
        self.settled = 0

    def output(self, stream: int, data: bytes) -> None:
        """Keep it."""
        self.told.append((stream, data))

    def settle(self) -> None:
        """Wake who waits."""
        self.settled += 1
        self.changed.set()

    async def until(self, size: int) -> None:
        """Wait until so many bytes were told."""
        async with asyncio.timeout(20):
            while sum(len(data) for _, data in self.told) < size:
                self.changed.clear()
                await self.changed.wait()


class Bench:
    """Pumps and the write ends of their pipes."""

    def __init__(self) -> None:
        self.sink = Sink()
        out, self.out = os.pipe()
        err, self.err = os.pipe()
        self.pumps = Pumps(asyncio.get_running_loop(), out, err, self.sink)


@pytest.fixture
async def bench() -> Iterator[Bench]:
    """Pumps under test."""
    made = Bench()
    yield made
    made.pumps.close()
    for descriptor in (made.out, made.err):
        os.close(descriptor)


async def test_the_first_output_is_told_at_once(bench: Bench):
    """And alone: it does not wait for a window."""
    os.write(bench.out, b"a")
    await bench.sink.until(1)
    assert bench.sink.told == [(1, b"a")]


async def test_further_output_is_told_by_windows(bench: Bench):
    """Many small writes, few events, nothing lost, order kept within a stream."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for number in range(2000):
        os.write(bench.out, b"%04d" % number)
        await asyncio.sleep(0)
    await bench.sink.until(8000)
    assert b"".join(data for _, data in bench.sink.told) == b"".join(
        b"%04d" % number for number in range(2000)
    )
    assert len(bench.sink.told) <= (loop.time() - begin) / WINDOW_SECONDS + 2


async def test_streams_that_take_turns_keep_their_order(bench: Bench):
    """As far as they are read between two writes."""
    expected = []
    for number in range(10):
        os.write(bench.out, b"o%d" % number)
        await asyncio.sleep(0.001)
        os.write(bench.err, b"e%d" % number)
        await asyncio.sleep(0.001)
        expected += [b"o%d" % number, b"e%d" % number]
    await bench.sink.until(40)
    assert b"".join(data for _, data in bench.sink.told) == b"".join(expected)


async def test_a_drain_takes_what_is_there_and_no_more(bench: Bench):
    """Somebody who writes without an end does not keep it from returning."""
    os.set_blocking(bench.out, False)
    written = 0
    try:
        while True:
            written += os.write(bench.out, b"x" * 4096)
    except BlockingIOError:
        pass
    os.write(bench.err, b"e")
    bench.pumps.drain()
    assert sum(len(data) for _, data in bench.sink.told) == written + 1
    assert bench.sink.told[-1] == (2, b"e")
    assert bench.sink.settled == 0


async def test_a_pipe_that_ends_is_let_go(bench: Bench):
    """The other goes on, and closing is safe afterwards."""
    os.close(bench.out)
    bench.out = os.open(os.devnull, os.O_RDONLY)
    os.write(bench.err, b"still here")
    await bench.sink.until(10)
    bench.pumps.drain()
    assert bench.sink.told == [(2, b"still here")]


async def test_after_a_restart_the_first_output_is_told_at_once_again(bench: Bench):
    """The next operation's first print does not wait for the window of the one before."""
    os.write(bench.out, b"a")
    await bench.sink.until(1)
    bench.pumps.drain()
    bench.pumps.restart()
    os.write(bench.out, b"b")
    await bench.sink.until(2)
    assert bench.sink.told == [(1, b"a"), (1, b"b")]


async def test_a_flood_is_read_as_fast_as_it_comes(bench: Bench):
    """Whole pipes at a time, without pauses."""
    total = 32 << 20

    def write() -> None:
        for _ in range(total // 65536):
            os.write(bench.out, b"x" * 65536)

    begin = asyncio.get_running_loop().time()
    writing = asyncio.create_task(asyncio.to_thread(write))
    await bench.sink.until(total)
    await writing
    # With a pause of a window for each pipeful it would take five seconds.
    assert asyncio.get_running_loop().time() - begin < 4
