"""The catalogs that the contract holds for: each a way to make one, and to open it again."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sandbank.v1 import session_pb2
from sandbank_server.catalog.base import Catalog, SessionRecord
from sandbank_server.catalog.sql import SqlCatalog

from tests.postgres import PostgresServer, postgres

NOON = datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=UTC)

Reopen = Callable[[], Awaitable[Catalog]]


@pytest.fixture(scope="session")
def database_server() -> Iterator[PostgresServer]:
    """A server of the tests' own."""
    with postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind, empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/catalog.sqlite3"
    server: PostgresServer = request.getfixturevalue("database_server")
    name = f"catalog_{secrets.token_hex(8)}"
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.url(name)


@pytest.fixture
async def reopen(catalog_url: str) -> AsyncIterator[Reopen]:
    """Open the database, again and again: each opening closes the one before."""
    opened: list[Catalog] = []

    async def open_it() -> Catalog:
        if opened:
            await opened[-1].close()
        opened.append(SqlCatalog(catalog_url))
        await opened[-1].start()
        return opened[-1]

    yield open_it
    for catalog in opened:
        await catalog.close()


@pytest.fixture
async def catalog(reopen: Reopen) -> Catalog:
    """An empty catalog."""
    return await reopen()


def session(session_id: str = "ses-1", tenant: str = "default", **changes: Any) -> SessionRecord:
    """Return a session; ``minute`` moves its creation."""
    created = NOON + timedelta(minutes=changes.pop("minute", 0))
    values: dict[str, Any] = {
        "tenant": tenant,
        "session_id": session_id,
        "template": "slim",
        "state": int(session_pb2.Session.STATE_ACTIVE),
        "create_time": created,
        "last_active_time": created,
        "expire_time": created + timedelta(days=1),
        "idle_timeout": timedelta(minutes=15),
        "max_lifetime": timedelta(days=1),
    }
    return SessionRecord(**(values | changes))
