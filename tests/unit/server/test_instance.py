"""One control plane on one data directory, told apart from all others, and told to end."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from sandbank_server.cli import app
from sandbank_server.instance import Instance, InstanceError, find_running, identity_of
from sandbank_server.shutdown import Shutdown
from typer.testing import CliRunner

PROGRAM = """
import asyncio, sys
from pathlib import Path
sys.path[:] = {path!r}
from sandbank_server.instance import Instance
from sandbank_server.shutdown import Shutdown
async def main():
    instance = Instance.acquire(Path({directory!r}))
    with Shutdown() as shutdown:
        instance.publish("127.0.0.1:7")
        print("ready", flush=True)
        print("end" if await shutdown.wait() else "leave", flush=True)
    instance.release()
asyncio.run(main())
"""


def server(directory: Path) -> subprocess.Popen[str]:
    """Start a process that holds a data directory as a server does."""
    program = PROGRAM.format(path=sys.path, directory=str(directory))
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_an_installation_stays_who_it_is(tmp_path: Path) -> None:
    """Its id and key are made once, and nobody else can read them."""
    first = Instance.acquire(tmp_path / "data")
    first.release()
    first.release()
    second = Instance.acquire(tmp_path / "data")
    assert second.identity == first.identity == identity_of(tmp_path / "data")
    assert len(first.identity.secret) == 32
    assert identity_of(tmp_path / "other") != first.identity
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    for file in (tmp_path / "data").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    second.release()


def test_a_second_server_on_the_same_data_is_refused(tmp_path: Path) -> None:
    """It names the process that has it; a killed one's lock is gone with it."""
    process = server(tmp_path)
    with process:
        with pytest.raises(InstanceError, match=f"process {process.pid}"):
            Instance.acquire(tmp_path)
        running = find_running(tmp_path)
        assert running is not None
        assert (running.pid, running.address) == (process.pid, "127.0.0.1:7")
        process.kill()
    assert find_running(tmp_path) is None
    Instance.acquire(tmp_path).release()


def test_a_damaged_identity_is_not_replaced(tmp_path: Path) -> None:
    """A new one would abandon the sandboxes of the old one."""
    (tmp_path / "installation.json").write_text("{")
    with pytest.raises(InstanceError, match="damaged"):
        Instance.acquire(tmp_path)
    assert (tmp_path / "installation.json").read_text() == "{"
    (tmp_path / "installation.json").unlink()
    Instance.acquire(tmp_path).release()


def test_a_directory_that_cannot_be_used_is_a_clear_error(tmp_path: Path) -> None:
    """Here: a file is in its place."""
    (tmp_path / "data").write_text("")
    with pytest.raises(InstanceError, match="cannot be used"):
        Instance.acquire(tmp_path / "data")
    assert find_running(tmp_path / "missing") is None


@pytest.mark.parametrize(("options", "said"), [([], "leave\n"), (["--end"], "end\n")])
def test_drain_ends_the_server_and_waits_for_it(tmp_path: Path, options: list[str], said: str) -> None:
    """With --end it is told to end the sessions too."""
    with server(tmp_path) as process:
        result = CliRunner().invoke(
            app, ["drain", "--data-dir", str(tmp_path), "--address", "127.0.0.1:7", *options]
        )
        assert result.exit_code == 0, result.output
        assert process.wait(10) == 0
        assert process.stdout is not None
        assert process.stdout.read() == said


def test_drain_says_what_it_cannot_end(tmp_path: Path) -> None:
    """No server there, or one that listens elsewhere, or one that does not end."""
    result = CliRunner().invoke(app, ["drain", "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "no server runs" in result.output
    with server(tmp_path) as process:
        result = CliRunner().invoke(app, ["drain", "--data-dir", str(tmp_path), "--address", "other:1"])
        assert "listens on 127.0.0.1:7" in result.output
        os.kill(process.pid, signal.SIGSTOP)
        result = CliRunner().invoke(app, ["drain", "--data-dir", str(tmp_path), "--timeout", "0.1"])
        assert "has not ended after 0.1 s" in result.output
        process.kill()


async def test_a_second_interrupt_ends_the_patience() -> None:
    """The first one lets open calls go on; the second does not."""
    with Shutdown() as shutdown:
        os.kill(os.getpid(), signal.SIGINT)
        assert await asyncio.wait_for(shutdown.wait(), 5) is False
        never = asyncio.Event()
        patience = asyncio.ensure_future(shutdown.grace(60, never.wait()))
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.wait_for(patience, 5)
        assert not shutdown.end_sessions
        shutdown.ask(end_sessions=True)
        assert shutdown.end_sessions
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
