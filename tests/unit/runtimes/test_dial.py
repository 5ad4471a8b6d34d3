"""Connecting to a sandbox's socket: what a hostile sandbox may put there is refused, without blocking."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbank_server.runtimes.base import Endpoint
from sandbank_server.runtimes.dial import ImpostorEndpoint, NotListening, open_socket

from tests.other_users import let_through

_OTHER_USER = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
os.setresuid(54321, 54321, 0)
os.chdir(sys.argv[1])
listener.bind("runner.sock")
listener.listen()
os.setresuid(0, 0, 0)
os.chown("runner.sock", 0, 0)
print("listening", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where a sandbox may write."""
    made = tmp_path / "host"
    made.mkdir()
    return made


@pytest.fixture
def endpoint(directory: Path) -> Endpoint:
    """Say what the runtime says of the sandbox."""
    return Endpoint(directory=str(directory), name="runner.sock", peer_uid=os.getuid())


@pytest.fixture
def bound() -> Iterator[list[socket.socket]]:
    """Sockets to close in the end."""
    made: list[socket.socket] = []
    yield made
    for each in made:
        each.close()


def _bind(path: Path, bound: list[socket.socket], kind: int = socket.SOCK_STREAM) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, kind)
    bound.append(made)
    made.bind(str(path))
    return made


def test_connects_to_the_supervisor(directory: Path, endpoint: Endpoint, bound: list[socket.socket]) -> None:
    """A listening socket of the right user is connected to, non-blocking."""
    listener = _bind(directory / "runner.sock", bound)
    listener.listen()
    with open_socket(endpoint) as connection:
        accepted, _ = listener.accept()
        with accepted:
            assert connection.getblocking() is False
            accepted.sendall(b"hello")
            assert connection.recv(5) == b"hello"


def test_path_may_be_longer_than_a_socket_address(tmp_path: Path, bound: list[socket.socket]) -> None:
    """The limit of 107 bytes on socket paths does not bind the data directory."""
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    here = os.open(deep, os.O_PATH)
    listener = _bind(Path(f"/proc/self/fd/{here}/runner.sock"), bound)
    os.close(here)
    listener.listen()
    open_socket(Endpoint(str(deep), "runner.sock", os.getuid())).close()


@pytest.mark.parametrize("missing", ["directory", "socket"])
def test_not_there_yet_may_be_tried_again(missing: str, directory: Path, endpoint: Endpoint) -> None:
    """A sandbox that is still starting has no socket, a removed one no directory: NotListening."""
    if missing == "directory":
        directory.rmdir()
    with pytest.raises(NotListening):
        open_socket(endpoint)


def test_bound_but_not_listening_may_be_tried_again(
    directory: Path, endpoint: Endpoint, bound: list[socket.socket]
) -> None:
    """Between bind() and listen(), and after the death of the supervisor, connections are refused."""
    _bind(directory / "runner.sock", bound)
    with pytest.raises(NotListening):
        open_socket(endpoint)


def test_full_queue_does_not_block(directory: Path, endpoint: Endpoint, bound: list[socket.socket]) -> None:
    """A listener that accepts nobody makes the caller try later, not wait."""
    _bind(directory / "runner.sock", bound).listen(0)
    with open_socket(endpoint), pytest.raises(NotListening):
        open_socket(endpoint)


@pytest.mark.parametrize("target", ["absolute", "relative", "dangling", "magic"])
def test_symlink_is_an_impostor(
    target: str, directory: Path, endpoint: Endpoint, bound: list[socket.socket], tmp_path: Path
) -> None:
    """A link is never followed, even to the right user's socket: it could be another sandbox's."""
    other = tmp_path / "other.sock"
    listener = _bind(other, bound)
    listener.listen()
    descriptor = os.open(other, os.O_PATH)
    try:
        (directory / "runner.sock").symlink_to(
            {
                "absolute": str(other),
                "relative": "../other.sock",
                "dangling": "nowhere",
                "magic": f"/proc/{os.getpid()}/fd/{descriptor}",
            }[target]
        )
        with pytest.raises(ImpostorEndpoint):
            open_socket(endpoint)
    finally:
        os.close(descriptor)
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_name_cannot_lead_out(directory: Path, tmp_path: Path, bound: list[socket.socket]) -> None:
    """Even a name with .. stays beneath the directory."""
    _bind(tmp_path / "other.sock", bound).listen()
    with pytest.raises(ImpostorEndpoint):
        open_socket(Endpoint(str(directory), "../other.sock", os.getuid()))


@pytest.mark.parametrize("kind", ["fifo", "file", "directory"])
def test_other_files_are_impostors(kind: str, directory: Path, endpoint: Endpoint) -> None:
    """A fifo must not block whoever opens it; a file or directory is no socket."""
    path = directory / "runner.sock"
    {"fifo": lambda: os.mkfifo(path), "file": path.touch, "directory": path.mkdir}[kind]()
    with pytest.raises(ImpostorEndpoint, match="not a socket"):
        open_socket(endpoint)


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_other_kinds_of_socket_are_impostors(
    kind: int, directory: Path, endpoint: Endpoint, bound: list[socket.socket]
) -> None:
    """Only stream sockets are spoken to."""
    made = _bind(directory / "runner.sock", bound, kind)
    if kind == socket.SOCK_SEQPACKET:
        made.listen()
    with pytest.raises(ImpostorEndpoint, match="not a stream socket"):
        open_socket(endpoint)


def test_listener_of_another_user_is_an_impostor(
    directory: Path, endpoint: Endpoint, bound: list[socket.socket]
) -> None:
    """The kernel's word on who listens decides, not the file's owner."""
    _bind(directory / "runner.sock", bound).listen()
    with pytest.raises(ImpostorEndpoint, match=f"user {os.getuid()} listens"):
        open_socket(Endpoint(endpoint.directory, endpoint.name, os.getuid() + 1))


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to listen as another user")
def test_listener_of_a_real_other_user_is_an_impostor(directory: Path, endpoint: Endpoint) -> None:
    """User code that replaced the socket by its own, chowned or not, is found out."""
    directory.chmod(0o777)
    let_through(directory)
    process = subprocess.Popen(
        [sys.executable, "-c", _OTHER_USER, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        with pytest.raises(ImpostorEndpoint, match="user 54321 listens"):
            open_socket(endpoint)
        process.communicate("")


def test_no_descriptor_is_left(directory: Path, endpoint: Endpoint, bound: list[socket.socket]) -> None:
    """Neither success nor refusal leaks a descriptor."""
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(NotListening):
        open_socket(endpoint)
    os.mkfifo(directory / "runner.sock")
    with pytest.raises(ImpostorEndpoint):
        open_socket(endpoint)
    (directory / "runner.sock").unlink()
    _bind(directory / "runner.sock", bound).listen()
    open_socket(endpoint).close()
    with pytest.raises(ImpostorEndpoint):
        open_socket(Endpoint(endpoint.directory, endpoint.name, os.getuid() + 1))
    assert len(os.listdir("/proc/self/fd")) == before + 1
