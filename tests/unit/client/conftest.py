"""A server that can be told to misbehave, and clients of it that do not wait long."""

from collections.abc import AsyncIterator, Iterator

import pytest
from sandbank import AsyncClient, Client, RetryPolicy

from tests.fakes.api_server import FakeServer

QUICK = RetryPolicy(budget=3.0, first_delay=0.005, longest_delay=0.02, jitter=lambda: 0.5)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server of its own for each test."""
    fake = FakeServer()
    yield fake
    fake.stop()


@pytest.fixture
def client(server: FakeServer) -> Iterator[Client]:
    """A client of that server."""
    with Client(server.address, retry=QUICK) as made:
        yield made


@pytest.fixture
async def async_client(server: FakeServer) -> AsyncIterator[AsyncClient]:
    """An asyncio client of that server."""
    async with AsyncClient(server.address, retry=QUICK) as made:
        yield made
