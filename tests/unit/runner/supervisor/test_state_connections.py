"""STATE connections wait for their requests a while, and for the turn of a request that has named them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from sandbank_runner.supervisor import state_connections
from sandbank_runner.supervisor.state_connections import CONNECTIONS, StateConnections


@pytest.fixture
def peers() -> Iterator[list[socket.socket]]:
    """The other ends."""
    made: list[socket.socket] = []
    yield made
    for each in made:
        each.close()


def opened(connections: StateConnections, peers: list[socket.socket], token: str) -> socket.socket:
    """Open a connection; return the other end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(10)
    peers.append(theirs)
    connections.open(ours, token)
    return theirs


@pytest.fixture
async def connections(monkeypatch: pytest.MonkeyPatch) -> StateConnections:
    """Connections that are not kept for long."""
    monkeypatch.setattr(state_connections, "KEPT_SECONDS", 0.01)
    monkeypatch.setattr(state_connections, "ARRIVAL_SECONDS", 0.01)
    return StateConnections(asyncio.get_running_loop())


async def test_one_that_nobody_names_is_closed(
    connections: StateConnections, peers: list[socket.socket]
) -> None:
    """After a while."""
    peer = opened(connections, peers, "a")
    assert await asyncio.to_thread(peer.recv, 1) == b""
    assert len(connections) == 0
    assert await connections.take("a") is None


@pytest.mark.parametrize("named_first", [False, True])
async def test_one_that_was_named_is_kept_for_its_turn(
    connections: StateConnections, peers: list[socket.socket], named_first: bool
) -> None:
    """Whichever comes first; another one that is not closed meanwhile shows that the time was over."""
    if named_first:
        connections.name("a")
    opened(connections, peers, "a")
    connections.name("a")
    assert await asyncio.to_thread(opened(connections, peers, "b").recv, 1) == b""
    taken = await connections.take("a")
    assert taken is not None
    connections.unname("a")
    taken.close()


async def test_one_that_was_answered_without_it_is_closed(
    connections: StateConnections, peers: list[socket.socket]
) -> None:
    """Its turn never came."""
    peer = opened(connections, peers, "a")
    connections.name("a")
    connections.unname("a")
    assert await asyncio.to_thread(peer.recv, 1) == b""
    connections.unname("a")


async def test_nobody_waits_for_one_that_has_ended(
    monkeypatch: pytest.MonkeyPatch, connections: StateConnections, peers: list[socket.socket]
) -> None:
    """The caller has gone: the queue goes on at once."""
    monkeypatch.setattr(state_connections, "ARRIVAL_SECONDS", 3600.0)
    connections.name("a")
    opened(connections, peers, "a").close()
    async with asyncio.timeout(10):
        while len(connections):  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0)
        assert await connections.take("a") is None


async def test_those_that_were_named_take_nobodys_place(
    connections: StateConnections, peers: list[socket.socket]
) -> None:
    """As many wait for their turn as there are requests in the queue."""
    for number in range(2 * CONNECTIONS):
        opened(connections, peers, str(number))
        connections.name(str(number))
    opened(connections, peers, "last")
    connections.name("last")
    assert len(connections) == 2 * CONNECTIONS + 1
    connections.close()
    assert len(connections) == 0


async def test_whoever_is_to_listen_only_is_watched(
    connections: StateConnections, peers: list[socket.socket]
) -> None:
    """What hangs up, or speaks, is told once; one that was closed here is not watched any more."""
    for ends in (lambda peer: peer.close(), lambda peer: peer.send(b"x")):
        peer = opened(connections, peers, "a")
        taken = await connections.take("a")
        assert taken is not None
        taken.say({"type": "seen"})
        told = asyncio.Event()
        taken.watch(asyncio.get_running_loop(), told.set)
        assert b"seen" in await asyncio.to_thread(peer.recv, 100)
        ends(peer)
        async with asyncio.timeout(10):
            await told.wait()
        taken.close()
        taken.close()
