"""A server that can be told to misbehave, and clients of it that do not wait long."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from sandbank import AsyncClient, Client, RetryPolicy
from sandbank.cli import app
from typer.testing import CliRunner, Result

from tests.fakes.api_server import FakeServer

Run = Callable[..., Result]
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


@pytest.fixture
def run(server: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs the command line in an empty directory."""
    monkeypatch.setenv("SANDBANK_ADDRESS", server.address)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def invoke(*arguments: str, given: str | None = None) -> Result:
        return CliRunner().invoke(app.build_app(arguments), list(arguments), input=given)

    return invoke
