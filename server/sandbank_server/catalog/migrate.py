"""Brings a database to the schema of this version of the code.

Alembic is imported only where a migration is due: at every other start one query is enough.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from sandbank_server.catalog.base import CatalogError
from sandbank_server.catalog.tables import SCHEMA_VERSION

MIGRATIONS: Final = Path(__file__).parent / "migrations"


def migrate(connection: Connection) -> None:
    """Migrate as needed, in the connection's transaction. Raises :class:`CatalogError`."""
    version = _version(connection)
    if version == SCHEMA_VERSION:
        return
    if version is not None and version > SCHEMA_VERSION:
        raise CatalogError(
            f"the catalog has schema {version}, made by a newer Sandbank; this one knows {SCHEMA_VERSION}. "
            "Use the newer one, or another data directory"
        )
    if version is not None and not (MIGRATIONS / "versions" / f"v{version}.py").is_file():
        raise CatalogError(f"the catalog has schema {version!r:.40}, which is none of Sandbank's")
    _upgrade(connection)


def _version(connection: Connection) -> str | None:
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if "alembic_version" not in tables:
        raise CatalogError("the catalog's database holds tables of something else")
    versions = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    if len(versions) != 1:
        raise CatalogError(
            "the catalog does not say which schema it has: a migration was cut off, or it is damaged"
        )
    return str(versions[0])


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - slow to import, and rarely needed
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, SCHEMA_VERSION)
