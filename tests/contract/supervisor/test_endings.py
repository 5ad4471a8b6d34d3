"""How a sandbox ends: always on purpose, and with everything in it."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import psutil
import pytest
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Running

BUSY = """
import os, subprocess
subprocess.Popen(["sleep", "600"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    while True: os.write(1, b"x")
print("go", flush=True)
while True: pass
"""


def processes_of(sandbox: Running) -> list[psutil.Process]:
    """Return the processes that work below the sandbox's directory."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd().startswith(str(sandbox.directory)):
                found.append(process)
    return found


@pytest.mark.parametrize("way", ["shutdown", "SIGTERM", "SIGINT"])
async def test_an_end_that_was_asked_for_leaves_nothing(start: Start, way: str):
    """Exit code 0; user processes, template and socket are gone, whatever was running."""
    async with start() as sandbox:
        session = await sandbox.session()
        session.submit("a", BUSY)
        await session.until("a", "output")
        assert len(processes_of(sandbox)) > 2
        if way == "shutdown":
            session.send(shutdown=pb.Shutdown())
        else:
            sandbox.process.send_signal(getattr(signal, way))
        assert await sandbox.exit_code() == 0
        assert processes_of(sandbox) == []
        assert not Path(sandbox.socket_path).is_socket()  # noqa: ASYNC240 - a look, no wait
    assert sandbox.errors.read_text() == ""


async def test_a_sandbox_that_nobody_controls_ends(start: Start):
    """orphan_seconds without a CONTROL connection: first of all, and after the last one went."""
    async with start(orphan_seconds=0.5) as sandbox:
        assert await sandbox.exit_code() == 0
    assert "no control plane" in sandbox.errors.read_text()


async def test_a_sandbox_that_somebody_controls_lives(start: Start):
    """The time begins when the connection ends."""
    async with start(orphan_seconds=0.5) as sandbox:
        session = await sandbox.session()
        await session.run("a", "import time\ntime.sleep(1)")
        assert sandbox.process.poll() is None
        await session.close()
        assert await sandbox.exit_code() == 0


async def test_a_module_that_cannot_be_preloaded_ends_it(start: Start):
    """Exit code 70 and the module's name and error on stderr, before anybody can connect."""
    async with start(preload=["no_such_module_anywhere"], listening=False) as sandbox:
        assert await sandbox.exit_code() == 70
    assert "no_such_module_anywhere" in sandbox.errors.read_text()


@pytest.mark.parametrize("config", [{"mode": "nonsense"}, {"workspace": "relative"}, {"preload": "json"}])
async def test_a_wrong_configuration_is_refused(start: Start, config: dict[str, object]):
    """Exit code 64, and the field on stderr."""
    async with start(listening=False, **config) as sandbox:
        assert await sandbox.exit_code() == 64
    assert next(iter(config)) in sandbox.errors.read_text()


async def test_a_killed_supervisor_takes_everything_with_it(start: Start):
    """After SIGKILL template and interpreter die with their parent, and what user code started goes too."""
    async with start() as sandbox:
        session = await sandbox.session()
        session.submit("a", BUSY)
        await session.until("a", "output")
        left = processes_of(sandbox)
        sandbox.process.kill()
        await sandbox.exit_code()
        assert psutil.wait_procs(left, timeout=20)[1] == []
