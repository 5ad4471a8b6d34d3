"""Asking about a place in code."""

from __future__ import annotations

import pytest
from sandbank import AsyncClient, Client

from tests.fakes.api_server import FakeServer


@pytest.fixture(autouse=True)
def variables(server: FakeServer) -> None:
    """Two that begin alike."""
    server.variables.update(depth=3, deposit=[1])


def test_code_is_completed_at_its_end_or_at_the_cursor(server: FakeServer, client: Client) -> None:
    """Positions are in code points."""
    session = client.session()
    answer = session.complete("'𝄞', dep")
    assert [match.text for match in answer.matches] == ["deposit", "depth"]
    assert (answer.start_position, answer.end_position) == (5, 8)
    assert [match.text for match in session.complete("dept + 1", 4).matches] == ["depth"]
    assert len(session.complete("x", 0).matches) == 2
    assert [request.cursor_position for request in server.called("Complete")] == [8, 4, 0]


def test_things_are_described(server: FakeServer, client: Client) -> None:
    """In words and as data; what is not found is false."""
    session = client.session()
    found = session.inspect("depth", detail=1)
    assert found
    assert (found.text, found.facts["preview"], found.facts["detail"]) == ("3", "3", 1)
    assert found.as_of.operation_id == "op-last"
    unknown = session.inspect("nothing")
    assert (bool(unknown), unknown.text, unknown.facts) == (False, "", {})


def test_a_transaction_asks_what_its_members_see(server: FakeServer, client: Client) -> None:
    """It is named."""
    session = client.session()
    with session.transaction() as tx:
        tx.complete("d")
        tx.inspect("depth")
        session.complete("d")
    assert [request.transaction_id for request in server.called("Complete")] == ["tx-1", ""]
    assert [request.transaction_id for request in server.called("Inspect")] == ["tx-1"]


async def test_the_async_client_asks_alike(async_client: AsyncClient) -> None:
    """Awaited."""
    session = await async_client.session()
    assert len((await session.complete("dep")).matches) == 2
    assert (await session.inspect("depth")).text == "3"
