"""A Docker daemon that goes, with every container, and comes back: what was saved goes on, what was not is told."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sandbank import Client
from sandbank.v1 import pool_pb2, session_pb2

from tests.recoveries import lost, wait_crashed, wait_generation
from tests.server_process import ServerProcess, serving

pytestmark = [pytest.mark.engine, pytest.mark.long]
State = session_pb2.Session
START_SECONDS = 60.0


class Daemon:
    """A daemon with everything of its own, on a file system of its own.

    In a network namespace of its own: a daemon without a bridge removes the bridge of the others.
    """

    def __init__(self, folder: Path) -> None:
        self.address = f"unix://{folder}/docker.sock"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        folder = self._folder
        for name in ("docker.pid", "exec/containerd/containerd.pid"):
            (folder / name).unlink(missing_ok=True)
        arguments = {
            "data-root": folder / "data",
            "exec-root": folder / "exec",
            "pidfile": folder / "docker.pid",
            "host": self.address,
            "bridge": "none",
            "iptables": "false",
            "ip-masq": "false",
        }
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["unshare", "--net", "dockerd", *(f"--{name}={value}" for name, value in arguments.items())],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.1)

    def stop(self) -> None:
        """End it as an upgrade would, its containers included."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None

    def load(self, references: Sequence[str]) -> None:
        """Copy images from the shared daemon."""
        with subprocess.Popen(["docker", "save", *references], stdout=subprocess.PIPE) as save:
            command = ["docker", "--host", self.address, "load"]
            subprocess.run(command, stdin=save.stdout, check=True, capture_output=True)
        assert save.returncode == 0

    def _answers(self) -> bool:
        command = ["docker", "--host", self.address, "version"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def images_of(template: str) -> list[str]:
    """Return the image that a template has now on the shared daemon, and those that it was built from."""
    sandbank = str(Path(sys.executable).with_name("sandbank"))
    subprocess.run([sandbank, "templates", "build", template], check=True, capture_output=True)
    listing = ["docker", "images", "--filter", "reference=sandbank-*", "--format", "{{.Repository}}:{{.Tag}}"]
    found = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split()
    newest = next(each for each in found if each.startswith(f"sandbank-{template}:"))
    return [newest, *(each for each in found if each.startswith("sandbank-base:"))]


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A daemon of the test's own, which has the images of the shared one."""
    if os.geteuid() != 0 or not shutil.which("dockerd") or not shutil.which("unshare"):
        pytest.skip("starting a daemon needs root, dockerd and unshare")
    # Sockets have short names, so not in pytest's folder.
    folder = Path(f"/run/sandbank-engine-{os.getpid()}")
    folder.mkdir()
    made = Daemon(folder)
    try:
        made.start()
        made.load(images_of("slim"))
        yield made
    finally:
        made.stop()
        for mount in (folder / "data", folder / "exec/netns/default"):
            subprocess.run(["umount", mount], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def server(daemon: Daemon, tmp_path: Path) -> Iterator[ServerProcess]:
    """A control plane on that daemon."""
    process = ServerProcess(
        "docker",
        tmp_path / "data",
        ("--min-ready", "slim=2,data=0"),
        {"DOCKER_HOST": daemon.address},
    )
    with serving(process):
        yield process


def test_sessions_go_on_when_the_daemon_is_back(daemon: Daemon, server: ServerProcess) -> None:
    """The pool says that it is degraded, and refills; a recovery waits for it; without a checkpoint: CRASHED."""
    with Client(server.address) as client:
        saved = client.session(template="slim", checkpoint_policy="synchronous")
        saved.run("n = 1", operation_id="kept")
        saved.files.upload(b"1", "file")
        unsaved = client.session(template="slim", checkpoint_policy="none")
        unsaved.run("n = 1", operation_id="gone", report_changes=True)
        daemon.stop()
        assert lost(wait_crashed(unsaved).last_recovery)[0] == ["gone"]
        for event in client.watch_pool("slim"):
            if event.pool.state == pool_pb2.POOL_STATE_DEGRADED:
                break
        assert saved.refresh().state == State.STATE_ACTIVE
        assert "being recovered" in saved.refresh().state_detail
        daemon.start()
        wait_generation(saved, 2)
        assert saved.run("n, open('file').read()").value == "(1, '1')"
        assert lost(saved.refresh().last_recovery) == ([], [], [])
        for event in client.watch_pool("slim"):
            if event.pool.state == pool_pb2.POOL_STATE_HEALTHY and event.pool.ready_count >= 2:
                break
