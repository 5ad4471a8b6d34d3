"""STATE connections: each waits for the one request that names it, and costs little until then."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from sandbank_runner.supervisor import state_connections
from sandbank_runner.supervisor.state_connections import StateConnection, StateConnections
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Connection, Running, seconds
from tests.fakes.state_streams import StateStream, reply_to, state_stream

ids = itertools.count(3_000_000)


@pytest.fixture
async def sandbox(start: Start) -> AsyncIterator[Running]:
    """A sandbox whose interpreter is a stand-in that keeps to the protocol."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(start("Stateful", preload=["tests.fakes.state_saboteurs"]))


def ask(session: Connection, token: str) -> int:
    """Ask for a checkpoint on the connection of a token."""
    request_id = next(ids)
    checkpoint = pb.Checkpoint(token=token, checkpoint_id=f"c{request_id}", timeout=seconds(60))
    session.send(request_id, checkpoint=checkpoint)
    return request_id


async def is_served(session: Connection, stream: StateStream) -> bool:
    """Have a checkpoint written on a connection."""
    request_id = ask(session, stream.token)
    assert (await stream.hear())["type"] == "writer"
    stream.say(type="stored")
    return not (await reply_to(session, request_id)).HasField("failure")


async def test_a_token_that_nobody_opened_is_waited_for(sandbox: Running):
    """The two connections are independent: the request may be read before the other's Open."""
    session = await sandbox.session()
    stream = StateStream(await sandbox.connect(greet=False), "late")
    request_id = ask(session, "late")
    await session.ask(ping=pb.Ping())  # the request was read
    stream.connection.send(open=pb.Open(protocol_version=1, purpose=pb.PURPOSE_STATE, token="late"))
    assert (await stream.hear())["type"] == "writer"
    stream.say(type="stored")
    assert not (await reply_to(session, request_id)).HasField("failure")


async def test_a_token_that_never_comes_is_refused(sandbox: Running):
    """In seconds; whoever asks may try again."""
    session = await sandbox.session()
    assert (await reply_to(session, ask(session, "never"))).failure.reason == "SESSION_BUSY"
    assert (await reply_to(session, ask(session, ""))).failure.reason == "SESSION_BUSY"


async def test_a_connection_is_for_one_request(sandbox: Running):
    """A second request of the same token finds nothing."""
    session = await sandbox.session()
    stream = await state_stream(sandbox)
    assert await is_served(session, stream)
    assert (await reply_to(session, ask(session, stream.token))).failure.reason == "SESSION_BUSY"


async def test_the_first_connection_of_a_token_counts(sandbox: Running):
    """Another one is closed, and the first is as good as before."""
    session = await sandbox.session()
    first = await state_stream(sandbox, "same")
    second = await state_stream(sandbox, "same")
    assert await second.has_ended()
    assert await is_served(session, first)


async def test_what_has_no_token_is_closed(sandbox: Running):
    """So is one whose token is endless."""
    assert await (await state_stream(sandbox, "")).has_ended()
    assert await (await state_stream(sandbox, "t" * 129)).has_ended()


async def test_no_more_than_sixteen_wait(sandbox: Running):
    """One that ends makes room."""
    session = await sandbox.session()
    kept = [await state_stream(sandbox) for _ in range(16)]
    assert await (await state_stream(sandbox)).has_ended()
    await kept.pop().close()
    async with asyncio.timeout(20):
        while True:
            stream = await state_stream(sandbox)
            request_id = ask(session, stream.token)
            try:
                await stream.hear()
            except EOFError:  # there was no room yet
                continue
            break
    stream.say(type="stored")
    assert not (await reply_to(session, request_id)).HasField("failure")
    assert await is_served(session, kept[0])


async def test_nothing_is_read_before_the_process_reads(sandbox: Running):
    """What comes right behind Open is for the process, to the last byte."""
    session = await sandbox.session()
    connection = await sandbox.connect(greet=False)
    stream = StateStream(connection, "early")
    connection.send(open=pb.Open(protocol_version=1, purpose=pb.PURPOSE_STATE, token="early"))
    stream.say(type="filler", text="x" * 100_000)
    stream.say(type="stored")
    await connection.writer.drain()
    request_id = ask(session, "early")
    assert (await stream.hear())["type"] == "writer"
    assert not (await reply_to(session, request_id)).HasField("failure")


async def test_before_a_session_there_is_no_state(sandbox: Running):
    """A request is refused, the connection waits for its time."""
    control = await sandbox.connect()
    reply = await control.ask(checkpoint=pb.Checkpoint(token="t", checkpoint_id="c", timeout=seconds(1)))
    assert reply.failure.reason == "SESSION_NOT_FOUND"


async def test_connections_that_die_waiting_cost_no_descriptor(sandbox: Running):
    """Nor does one that speaks although nobody listens yet cost any processor time."""
    session = await sandbox.session()
    descriptors = f"/proc/{sandbox.process.pid}/fd"
    before = len(os.listdir(descriptors))
    for number in range(40):
        stream = await state_stream(sandbox)
        if number % 2:
            stream.connection.writer.write(b"speaks too early")
        await stream.close()
    async with asyncio.timeout(20):
        while len(os.listdir(descriptors)) > before + 16:
            await session.ask(ping=pb.Ping())


async def test_nobody_waits_longer_than_a_minute(monkeypatch: pytest.MonkeyPatch):
    """Then the connection is closed, and its token is free."""
    monkeypatch.setattr(state_connections, "KEPT_SECONDS", 0.05)
    kept = StateConnections(asyncio.get_running_loop())
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    kept.open(ours, "t")
    with theirs:
        async with asyncio.timeout(20):
            assert await asyncio.get_running_loop().sock_recv(theirs, 1) == b""
    assert len(kept) == 0


async def test_a_connection_that_is_cut_has_ended_for_everybody():
    """Whoever holds a copy of the descriptor too."""
    ours, theirs = socket.socketpair()
    connection = StateConnection(ours)
    with theirs, socket.socket(fileno=connection.give()) as given:
        assert given.getblocking()
        connection.cut()
        assert (given.recv(1), theirs.recv(1)) == (b"", b"")
