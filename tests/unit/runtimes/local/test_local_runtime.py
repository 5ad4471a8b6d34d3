"""The local runtime's own rules; what it shares with containers is in the contract."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sandbank_server.runtimes.base import LaunchFailed, RuntimeUnavailable, SandboxSpec
from sandbank_server.runtimes.local import LocalRuntime, LocalSettings
from sandbank_server.runtimes.local.directory import LOG_BYTES
from sandbank_server.templates.model import TemplateSpec

SPEC = SandboxSpec("sb-0123456789ab", TemplateSpec("slim"), "local", {"sandbank.tenant": "default"})
STAY = "import sys, time; print('started', flush=True); time.sleep(1000)"


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[LocalRuntime]:
    """A runtime whose supervisors only stay."""
    made = LocalRuntime(LocalSettings(tmp_path, (sys.executable, "-c", STAY)))
    await made.start()
    yield made
    for seen in await made.list_sandboxes():
        await made.destroy(seen.sandbox_id)
    await made.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The sandbox's directory."""
    return tmp_path / "local" / SPEC.sandbox_id


def process_record(directory: Path) -> dict[str, object]:
    """Read which process was noted."""
    found: dict[str, object] = json.loads((directory / "process.json").read_text())
    return found


async def launch(runtime: LocalRuntime, directory: Path) -> int:
    """Launch the sandbox, wait until its program runs, and return its process."""
    await runtime.launch(SPEC)
    async with asyncio.timeout(30):
        while not (directory / "log").stat().st_size:  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.005)
    pid = process_record(directory)["pid"]
    assert isinstance(pid, int)
    return pid


async def test_isolates_nothing_and_says_so(runtime: LocalRuntime) -> None:
    """Whoever decides where to listen can ask."""
    assert (runtime.name, runtime.isolation) == ("local", "none")


async def test_supervisor_is_tied_to_nothing_of_the_control_plane(
    runtime: LocalRuntime, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session of its own, no terminal, no pipe, no descriptor, and no secret of the control plane's."""
    pipe = os.pipe()
    os.set_inheritable(pipe[1], True)
    monkeypatch.setenv("SANDBANK_TOKEN", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    pid = await launch(runtime, directory)
    assert os.getsid(pid) == pid
    environment = Path(f"/proc/{pid}/environ").read_bytes()  # noqa: ASYNC240
    assert b"secret" not in environment
    links = {name: os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
    log = str(directory / "log")
    assert links == {"0": "/dev/null", "1": log, "2": log}
    os.close(pipe[0])
    os.close(pipe[1])


async def test_directories_are_private(runtime: LocalRuntime, directory: Path) -> None:
    """Other users of the machine do not get in."""
    await runtime.launch(SPEC)
    assert {path.stat().st_mode & 0o777 for path in (directory, directory.parent)} == {0o700}


@pytest.mark.parametrize(
    "record", [None, "", "[]", '{"pid": 1}', '{"pid": "x", "start_ticks": 0, "boot": ""}']
)
async def test_sandbox_is_found_without_its_record(
    runtime: LocalRuntime, directory: Path, tmp_path: Path, record: str | None
) -> None:
    """A control plane killed before it noted the process, or a damaged note, loses no sandbox."""
    pid = await launch(runtime, directory)
    path = directory / "process.json"
    path.unlink() if record is None else path.write_text(record)
    again = LocalRuntime(LocalSettings(tmp_path))
    (seen,) = await again.list_sandboxes()
    assert (seen.running, seen.template, seen.labels) == (True, "slim", {"sandbank.tenant": "default"})
    await again.destroy(SPEC.sandbox_id)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    await again.close()


async def test_forged_record_ends_nobody_else(runtime: LocalRuntime, directory: Path, tmp_path: Path) -> None:
    """User code that notes another process as its supervisor does not get it killed."""
    await launch(runtime, directory)
    await runtime.close()
    with subprocess.Popen(["sleep", "1000"]) as bystander:  # noqa: ASYNC220
        stat = Path(f"/proc/{bystander.pid}/stat").read_text().rpartition(")")[2].split()  # noqa: ASYNC240
        forged = process_record(directory) | {"pid": bystander.pid, "start_ticks": int(stat[19])}
        (directory / "process.json").write_text(json.dumps(forged))
        again = LocalRuntime(LocalSettings(tmp_path))
        await again.destroy(SPEC.sandbox_id)
        await again.close()
        assert bystander.poll() is None
        bystander.kill()


async def test_hostile_records_are_no_error(runtime: LocalRuntime, directory: Path) -> None:
    """What user code makes of the files is read with care: links, fifos and wrong types are nothing."""
    await runtime.launch(SPEC)
    for name in ("sandbox.json", "process.json", "log"):
        (directory / name).unlink()
    (directory / "sandbox.json").symlink_to("/etc/passwd")
    os.mkfifo(directory / "process.json")
    os.mkfifo(directory / "log")
    (seen,) = await runtime.list_sandboxes()
    assert (seen.running, seen.template, seen.labels) == (True, "", {})
    (directory / "sandbox.json").unlink()
    (directory / "sandbox.json").write_text('{"template": 7, "labels": {"a": 1, "b": "c"}}')
    (seen,) = await runtime.list_sandboxes()
    assert (seen.template, seen.labels) == ("", {"b": "c"})


async def test_log_is_bounded(runtime: LocalRuntime, directory: Path) -> None:
    """A log that has grown too long is emptied when it is seen."""
    await runtime.launch(SPEC)
    with (directory / "log").open("ab") as log:
        log.write(b"x" * (LOG_BYTES + 1))
    await runtime.list_sandboxes()
    assert (directory / "log").stat().st_size < 100


async def test_command_that_cannot_start_fails_the_launch(tmp_path: Path) -> None:
    """Found at start where it is missing, and by the launch where it went missing later; nothing stays."""
    missing = LocalRuntime(LocalSettings(tmp_path, ("/no/such/python",)))
    with pytest.raises(RuntimeUnavailable, match="/no/such/python"):
        await missing.start()
    (tmp_path / "local").mkdir(exist_ok=True)
    with pytest.raises(LaunchFailed, match="/no/such/python"):
        await missing.launch(SPEC)
    assert os.listdir(tmp_path / "local") == []
    await missing.close()


async def test_long_data_directory_is_refused_at_start(tmp_path: Path) -> None:
    """A socket's path has 107 bytes: said at start, not by each launch."""
    runtime = LocalRuntime(LocalSettings(tmp_path / ("d" * 100)))
    with pytest.raises(RuntimeUnavailable, match="bytes too long"):
        await runtime.start()
