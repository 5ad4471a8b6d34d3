"""Reading variables without running code."""

import pytest
from sandbank import AsyncClient, Client, reasons

from tests.fakes.api_server import FakeServer


@pytest.fixture(autouse=True)
def variables(server: FakeServer) -> None:
    """Plain data, something that JSON has no word for, and a private name."""
    server.variables.update(a=1, ab=[1, None], abc={1, 2}, b="text", _hidden=0)


def test_variables_are_listed_page_by_page(server: FakeServer, client: Client) -> None:
    """By prefix; names with an underscore only on request."""
    session = client.session()
    assert [variable.name for variable in session.variables()] == ["a", "ab", "abc", "b"]
    assert [variable.type_name for variable in session.variables("ab")] == ["list", "set"]
    assert [variable.name for variable in session.variables("_", private=True)] == ["_hidden"]
    assert len(list(session.variables(page_size=5))) == 4
    assert len(server.called("ListVariables")) == 5


def test_a_value_is_decoded_where_it_is_plain_data(client: Client) -> None:
    """And its repr otherwise; nothing is evaluated."""
    session = client.session()
    assert session.get("ab").value == [1, None]
    assert session.get("abc").value == session.get("abc", "repr").text == "{1, 2}"
    assert session.get("b", format="repr").value == "'text'"
    read = session.get("b")
    assert (read.value, read.variable.name, read.as_of.operation_id, read.as_of.stale) == (
        "text",
        "b",
        "op-last",
        True,
    )
    with pytest.raises(reasons.FormatUnavailable):
        session.get("abc", "json")
    with pytest.raises(reasons.VariableNotFound):
        session.get("none")
    with pytest.raises(ValueError, match="repr, json, mime, arrow"):
        session.get("a", "pickle")


def test_plain_data_is_sent_as_it_is(server: FakeServer, client: Client) -> None:
    """What JSON would change is refused before anything is sent."""
    session = client.session()
    data = {"k": [None, True, 1, 0.5, "é"]}
    change = session.set("new", data)
    assert change is not None
    assert change.name == "new"
    assert session.set("new", data) is None
    assert server.variables["new"] == data
    loop: list[object] = []
    loop.append(loop)
    for value in ((1, 2), {1: 2}, {1}, object(), True + 0j):
        with pytest.raises(TypeError, match="JSON"):
            session.set("new", value)
    for value in (float("nan"), [float("inf")], loop):
        with pytest.raises(ValueError, match=r"JSON|nested"):
            session.set("new", value)
    with pytest.raises(ValueError, match="arrow_as"):
        session.set("new", 1, arrow_as="pandas")
    with session.transaction() as tx:
        tx.set("new", 2)
    assert [request.transaction_id for request in server.called("SetVariable")] == ["", "", "tx-1"]


def test_a_transaction_reads_what_its_members_see(server: FakeServer, client: Client) -> None:
    """The session's own reads do not name it."""
    session = client.session()
    with session.transaction() as tx:
        tx.get("a")
        list(tx.variables())
        session.get("a")
    assert [request.transaction_id for request in server.called("GetVariable")] == ["tx-1", ""]
    assert {request.transaction_id for request in server.called("ListVariables")} == {"tx-1"}


async def test_the_async_client_reads_alike(async_client: AsyncClient) -> None:
    """As an async iterator, and awaited."""
    session = await async_client.session()
    assert [variable.name async for variable in session.variables("a")] == ["a", "ab", "abc"]
    assert (await session.get("abc")).value == "{1, 2}"
    assert (await session.get("a")).value == 1
    assert await session.set("a", 1) is None
    assert await session.set("a", 2) is not None
