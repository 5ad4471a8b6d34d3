"""scripts/docker-engine: finds an engine, starts one, stops only its own."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/docker-engine"


def run(*words, environment, prefix=()):
    """Run the script with nothing but the given environment, and return what came of it."""
    return subprocess.run(
        [*prefix, SCRIPT, *words],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def answering(tmp_path):
    """A socket that answers one question about an engine's version after another."""
    path = tmp_path / "docker.sock"
    body = json.dumps({"Version": "99.1"}).encode()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"unix://{path}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_an_engine_that_answers_is_used(answering, tmp_path):
    """Nothing is installed, started or written."""
    result = run(
        "ensure", environment={"DOCKER_HOST": answering, "SANDBANK_DOCKERD_STATE": str(tmp_path / "state")}
    )
    assert (result.returncode, result.stdout) == (0, "")
    assert f"using Docker Engine 99.1 at {answering}" in result.stderr
    assert not (tmp_path / "state").exists()
    assert (
        run("status", environment={"DOCKER_HOST": answering}).stdout
        == f"Docker Engine 99.1 answers at {answering}\n"
    )


def test_a_named_engine_that_does_not_answer_is_not_replaced(tmp_path):
    """Whoever sets DOCKER_HOST wants that engine and no other."""
    address = f"unix://{tmp_path}/none.sock"
    result = run("ensure", environment={"DOCKER_HOST": address})
    assert result.returncode == 3
    assert f"DOCKER_HOST is {address}, but no engine answers there" in result.stderr
    assert run("status", environment={"DOCKER_HOST": address}).returncode == 3


@pytest.mark.parametrize("words", [(), ("start",), ("--help",)])
def test_wrong_use_shows_the_manual(words):
    """Exit code 2, with the exit codes and the environment explained."""
    result = run(*words, environment={})
    assert result.returncode == 2
    assert "scripts/docker-engine ensure" in result.stderr
    assert "SANDBANK_DOCKERD_ARGS" in result.stderr


def test_stop_stops_nothing_that_it_did_not_start(tmp_path):
    """A recorded process that is another one by now is left alone."""
    environment = {"SANDBANK_DOCKERD_STATE": str(tmp_path)}
    assert "no daemon was started from here" in run("stop", environment=environment).stderr
    with subprocess.Popen(["sleep", "60"]) as other:
        (tmp_path / "daemon").write_text(f"{other.pid} 1\n")
        result = run("stop", environment=environment)
        assert result.returncode == 0
        assert "is gone already" in result.stderr
        assert other.poll() is None
        other.kill()


@pytest.fixture
def private(tmp_path):
    """The environment for a daemon with everything of its own, and how to run the script for it.

    In a network namespace of its own: a daemon without a bridge removes the bridge of the others.
    """
    if os.geteuid() != 0 or not shutil.which("dockerd") or not shutil.which("unshare"):
        pytest.skip("starting a daemon needs root, dockerd and unshare")
    # Sockets have short names, so not in pytest's folder.
    folder = Path(f"/run/sandbank-test-{os.getpid()}")
    folder.mkdir()
    arguments = {
        "data-root": folder / "data",
        "exec-root": folder / "exec",
        "pidfile": folder / "docker.pid",
        "host": f"unix://{folder}/docker.sock",
        "bridge": "none",
        "iptables": "false",
        "ip-masq": "false",
    }
    environment = {
        "SANDBANK_DOCKERD_ARGS": " ".join(f"--{name}={value}" for name, value in arguments.items()),
        "SANDBANK_DOCKERD_STATE": str(tmp_path / "state"),
    }

    def start(*words, extra=""):
        changed = {**environment, "SANDBANK_DOCKERD_ARGS": f"{environment['SANDBANK_DOCKERD_ARGS']} {extra}"}
        return run(*words, environment=changed, prefix=("unshare", "--net"))

    yield folder, start
    start("stop")
    for mount in (folder / "data", folder / "exec/netns/default"):
        subprocess.run(["umount", mount], capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.engine
def test_a_daemon_is_started_found_again_and_stopped(private, tmp_path):
    """Pid files of a dead daemon and of a dead containerd do not keep it from starting; nor does a crash."""
    folder, start = private
    (folder / "docker.pid").write_text("1")  # a live process, but no dockerd
    (folder / "exec/containerd").mkdir(parents=True)
    (folder / "exec/containerd/containerd.pid").write_text(str(2**22 + 1))

    first = start("ensure")
    assert first.returncode == 0, first.stderr
    assert "which is no dockerd" in first.stderr
    assert "which is no containerd" in first.stderr
    pid = int((tmp_path / "state/daemon").read_text().split()[0])
    assert Path(f"/proc/{pid}/comm").read_text() == "dockerd\n"
    assert os.getsid(pid) == pid  # it outlives the terminal

    again = start("ensure")
    assert again.returncode == 0
    assert "starting dockerd" not in again.stderr

    os.kill(pid, signal.SIGKILL)
    wait_for_the_end(pid)
    assert start("ensure").returncode == 0
    assert int((tmp_path / "state/daemon").read_text().split()[0]) != pid

    stopped = start("stop")
    assert "stopped dockerd" in stopped.stderr
    assert start("status").returncode == 3


def wait_for_the_end(pid):
    """Wait until a process that is not our child is no more."""
    descriptor = os.pidfd_open(pid)
    try:
        assert select.select([descriptor], [], [], 10)[0], f"process {pid} does not end"
    finally:
        os.close(descriptor)


@pytest.mark.engine
def test_a_daemon_that_fails_to_start_shows_its_log(private):
    """Exit code 5 as soon as it has died, not after the whole wait."""
    _, start = private
    result = start("ensure", extra="--storage-driver=nonsense")
    assert result.returncode == 5
    assert "dockerd does not answer" in result.stderr
    assert "driver not supported" in result.stderr
