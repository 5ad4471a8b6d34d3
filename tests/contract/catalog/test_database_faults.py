"""A database server that goes away, and comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sandbank_server.catalog.base import CatalogError
from sandbank_server.catalog.sql import SqlCatalog
from sandbank_server.errors import StoreUnavailableError

from tests.contract.catalog.conftest import session
from tests.postgres import PostgresServer, postgres

pytestmark = pytest.mark.postgres


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server of the test's own, to be stopped."""
    with postgres() as made:
        yield made


async def test_a_catalog_outlives_its_servers_restart(server: PostgresServer) -> None:
    """Meanwhile it is unavailable, with a clear error; then it goes on, and nothing acknowledged is lost."""
    catalog = SqlCatalog(server.url())
    await catalog.start()
    await catalog.put_session(session("ses-1"))
    server.stop()
    with pytest.raises(StoreUnavailableError):
        await catalog.put_session(session("ses-2"))
    with pytest.raises(StoreUnavailableError):
        await catalog.get_session("default", "ses-1")
    server.start()
    assert await catalog.get_session("default", "ses-1") is not None
    assert await catalog.get_session("default", "ses-2") is None
    await catalog.put_session(session("ses-2"))
    await catalog.close()


async def test_a_server_that_is_not_there_is_named_at_the_start(server: PostgresServer) -> None:
    """The operator is told, without a traceback."""
    server.stop()
    with pytest.raises(CatalogError, match="cannot be opened"):
        await SqlCatalog(server.url()).start()
