"""A real PostgreSQL server for the tests that need one: the distribution's, run by them on a socket of its own."""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PACKAGE = "postgresql"
_APT_INSTALL = Path(__file__).parents[1] / "scripts" / "apt-install"
_SECONDS = 60.0


@functools.cache
def postgres_problem() -> str:
    """Return why there is no PostgreSQL to run, empty when there is; installs it where root can."""
    with _one_at_a_time():
        return _problem()


def _problem() -> str:
    if _programs() is not None:
        return ""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return f"no PostgreSQL server: apt-get install {_PACKAGE}"
    # Without a cluster of its own, which would be started and left running.
    configuration = Path("/etc/postgresql-common/createcluster.conf")
    if not configuration.exists():
        configuration.parent.mkdir(exist_ok=True)
        configuration.write_text("create_main_cluster = false\n")
    install = [_APT_INSTALL, "PostgreSQL is wanted for the catalog's tests", _PACKAGE]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr[-1000:]
    return "" if _programs() is not None else "PostgreSQL was installed and is not to be found"


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Another process of the suite may be installing it: half of it is no server."""
    with open(Path(tempfile.gettempdir()) / "sandbank-postgres.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class PostgresServer:
    """A server whose data lies in a directory; its socket is there too, to be the `host` of a URL."""

    def __init__(self, directory: Path) -> None:
        programs = _programs()
        assert programs is not None
        self._programs = programs
        self._data, self.socket = directory / "data", directory / "socket"
        self._log = directory / "log"
        self._owner: dict[str, str | int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        for path in (self._data, self.socket):
            path.mkdir()
        if os.geteuid() == 0:  # it refuses to run as root
            self._owner = {"user": "postgres", "group": "postgres"}
            for path in (directory, self._data, self.socket):
                shutil.chown(path, "postgres", "postgres")
        subprocess.run(
            [programs / "initdb", "-D", self._data, "-U", "sandbank", "--auth=trust", "--no-sync"],
            stdout=subprocess.DEVNULL,
            cwd="/",
            check=True,
            **self._owner,
        )

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database."""
        return f"postgresql://sandbank@/{database}?host={self.socket}"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        options = ["-D", self._data, "-k", self.socket, "-c", "listen_addresses=", "-c", "fsync=off"]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [self._programs / "postgres", *options],
                stderr=output,
                stdout=output,
                cwd="/",
                **self._owner,  # type: ignore[arg-type]
            )
        deadline = time.monotonic() + _SECONDS
        ready = [self._programs / "pg_isready", "-q", "-h", self.socket]
        while subprocess.run(ready, check=False).returncode:
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()

    def stop(self) -> None:
        """End it, connections and all."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(_SECONDS)
            self._process = None


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """Run a server; it leaves nothing behind."""
    # Not among the test's own directories, which only root may enter: the server has a user of its own.
    with tempfile.TemporaryDirectory(prefix="sandbank-postgres-") as directory:
        server = PostgresServer(Path(directory))
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _programs() -> Path | None:
    """Return the directory of the newest server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    elsewhere = shutil.which("postgres")
    return Path(elsewhere).parent if elsewhere else None
