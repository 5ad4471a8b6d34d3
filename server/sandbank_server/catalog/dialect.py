"""All that differs from database to database."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from sandbank_server.catalog.base import CatalogError

_BUSY_MS = 5000


def open_engine(url: str) -> Engine:
    """Return an engine for ``sqlite:///PATH`` or ``postgresql://…``. Raises :class:`CatalogError`.

    It has one connection, for one thread.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise CatalogError(f"the catalog's URL is not one: {_shown(url)}") from None
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed)
    if parsed.get_backend_name() == "postgresql":
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        try:
            return create_engine(parsed, pool_size=1, max_overflow=0, pool_pre_ping=True)
        except ImportError as error:
            raise CatalogError(f"the catalog's database needs the package {error.name}") from None
    raise CatalogError(f"the catalog is kept by sqlite or postgresql, not by {parsed.get_backend_name()}")


def upsert(table: Table, keys: Sequence[str]) -> Any:
    """Return a function of the dialect's name that gives an insert which replaces a row of the same keys."""

    def build(dialect: str) -> Any:
        insert = _insert(dialect, table)
        changed = {c.name: insert.excluded[c.name] for c in table.columns if c.name not in keys}
        return insert.on_conflict_do_update(index_elements=list(keys), set_=changed)

    return build


def _insert(dialect: str, table: Table) -> Any:
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - slow to import, and the lesser part wants it

        return postgresql.insert(table)
    return sqlite.insert(table)


DATABASE_ERRORS: Final = (SQLAlchemyError, sqlite3.Error)
"""What a database may raise; the driver's own while a connection is made."""


def explain(error: BaseException) -> str:
    """Return why a catalog cannot be opened, in words for the operator."""
    original = getattr(error, "orig", error)
    code = getattr(original, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return "the catalog's file is damaged, or no database: restore it, or move it away"
    if code == sqlite3.SQLITE_BUSY:
        return "the catalog is in use: another Sandbank runs on this data directory"
    return f"the catalog cannot be opened: {original}"


def _open_sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise CatalogError("the catalog needs a file: sqlite:///PATH")
    path = Path(url.database)
    try:
        # SQLite would make it readable by others; its journals then take over the mode of the file.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        os.chmod(path, 0o600)
    except OSError as error:
        raise CatalogError(f"the catalog {path} cannot be opened: {error.strerror}") from None
    engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _begin_sqlite(connection: Connection) -> None:
    # In WAL mode a commit survives the death of the process also where it is not synced; a power cut may take the
    # last ones then. One that is synced takes all before it along to the disk.
    level = "FULL" if connection.get_execution_options().get("synced") else "NORMAL"
    connection.exec_driver_sql(f"PRAGMA synchronous={level}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # Transactions are begun by us, see above: the driver's own habits would let a read turn into a write
    # half-way, and leave schema changes outside of transactions.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _shown(url: str) -> str:
    return url.rpartition("@")[2]
