"""The SQLite file itself: who may read it, what it says when it cannot be used, how it comes to its schema."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sandbank_server.catalog.base import CatalogError
from sandbank_server.catalog.migrate import MIGRATIONS
from sandbank_server.catalog.sql import SqlCatalog
from sandbank_server.catalog.tables import SCHEMA_VERSION, metadata
from sqlalchemy import create_engine

from tests.contract.catalog.conftest import session


async def made(path: Path) -> None:
    """Make a catalog with a session in it."""
    catalog = SqlCatalog(f"sqlite:///{path}")
    await catalog.start()
    await catalog.put_session(session())
    await catalog.close()


async def run_python(program: str) -> subprocess.CompletedProcess[bytes]:
    """Run a program in a Python of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], env=environment, check=False
    )


async def start_fails(url: str) -> str:
    """Return why a catalog cannot be opened."""
    with pytest.raises(CatalogError) as caught:
        await SqlCatalog(url).start()
    return str(caught.value)


async def test_nobody_else_can_read_the_file(tmp_path: Path) -> None:
    """Mode 0600 for the file and its journals, whatever the umask, also where it was another."""
    path = tmp_path / "catalog.sqlite3"
    before = os.umask(0)
    try:
        path.touch(mode=0o644)
        catalog = SqlCatalog(f"sqlite:///{path}")
        await catalog.start()
        await catalog.put_session(session())
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in os.scandir(tmp_path)}
        await catalog.close()
    finally:
        os.umask(before)
    assert len(modes) == 3
    assert set(modes.values()) == {0o600}


async def test_a_damaged_file_is_a_clear_error(tmp_path: Path) -> None:
    """Not a traceback, and the file is left as it is."""
    path = tmp_path / "catalog.sqlite3"
    path.write_bytes(b"this is no database, but long enough to be taken for one" * 100)
    before = path.read_bytes()
    assert "damaged" in await start_fails(f"sqlite:///{path}")
    assert path.read_bytes() == before


async def test_a_newer_schema_is_a_clear_error(tmp_path: Path) -> None:
    """An older Sandbank does not touch a newer one's catalog."""
    path = tmp_path / "catalog.sqlite3"
    await made(path)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    assert "newer Sandbank" in await start_fails(f"sqlite:///{path}")


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("UPDATE alembic_version SET version_num = '0000abc'", "none of Sandbank's"),
        ("DELETE FROM alembic_version", "does not say which schema"),
        ("DROP TABLE alembic_version", "tables of something else"),
    ],
)
async def test_a_strange_schema_is_a_clear_error(tmp_path: Path, statement: str, text: str) -> None:
    """Nothing is migrated on a guess."""
    path = tmp_path / "catalog.sqlite3"
    await made(path)
    with sqlite3.connect(path) as database:
        database.execute(statement)
    database.close()
    assert text in await start_fails(f"sqlite:///{path}")


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("nonsense", "not one"),
        ("mysql://user:hunter2@host/db", "not by mysql"),
        ("sqlite://", "needs a file"),
        ("sqlite:////nonexistent/catalog.sqlite3", "No such file"),
    ],
)
async def test_a_wrong_url_is_a_clear_error(url: str, text: str) -> None:
    """It says what is wrong, without a password that was in it."""
    message = await start_fails(url)
    assert text in message
    assert "hunter2" not in message


async def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Who can write to the directory must not choose another file."""
    (tmp_path / "catalog.sqlite3").symlink_to(tmp_path / "elsewhere")
    assert "cannot be opened" in await start_fails(f"sqlite:///{tmp_path}/catalog.sqlite3")
    assert not (tmp_path / "elsewhere").exists()


async def test_the_migrations_make_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    """Alembic finds no difference, and the version that the code asks for is the newest."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == SCHEMA_VERSION
    path = tmp_path / "catalog.sqlite3"
    await made(path)
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


async def test_a_start_without_a_migration_does_not_import_alembic(tmp_path: Path) -> None:
    """It would cost a quarter of a second at every start."""
    path = tmp_path / "catalog.sqlite3"
    await made(path)
    program = f"""
import asyncio, sys
from sandbank_server.catalog.sql import SqlCatalog
async def main():
    catalog = SqlCatalog("sqlite:///{path}")
    await catalog.start()
    assert len(await catalog.live_sessions()) == 1
    await catalog.close()
asyncio.run(main())
assert "alembic" not in sys.modules
"""
    assert (await run_python(program)).returncode == 0


async def test_a_put_that_returned_survives_a_killed_process(tmp_path: Path) -> None:
    """SIGKILL right after: the session is there."""
    path = tmp_path / "catalog.sqlite3"
    program = f"""
import asyncio, os, signal
from sandbank_server.catalog.sql import SqlCatalog
from tests.contract.catalog.conftest import session
async def main():
    catalog = SqlCatalog("sqlite:///{path}")
    await catalog.start()
    for n in range(20):
        await catalog.put_session(session(f"ses-{{n}}"))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    assert (await run_python(program)).returncode == -9
    catalog = SqlCatalog(f"sqlite:///{path}")
    await catalog.start()
    assert len(await catalog.live_sessions()) == 20
    await catalog.close()
