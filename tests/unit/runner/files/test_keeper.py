"""The keeper: what it does follows what was changed, within its bounds; its bases and its requests."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sandbank_runner.files import keeper as keepers
from sandbank_runner.files.base import TooLarge
from sandbank_runner.files.keeper import Keeper, serve
from sandbank_runner.files.protocol import FrameSocket, pack_header, parse_header

from tests.unit.runner.files.workspaces import FILES, LIMIT, state


def test_an_empty_workspace(tmp_path: Path, keeper_of: Callable[[Path], Keeper]):
    """It is empty again."""
    keeper = keeper_of(tmp_path)
    assert keeper.take(1, 0) == {"entries": 0, "copied_bytes": 0, "kept_bytes": 0, "touched": False}
    (tmp_path / "x").write_text("x")
    keeper.restore(1)
    assert list(tmp_path.iterdir()) == []


def test_many_files(tmp_path: Path, keeper_of: Callable[[Path], Keeper]):
    """Thousands at once, in one directory and in many."""
    for number in range(3000):
        (tmp_path / f"f{number}").write_text(str(number))
        if number % 10 == 0:
            (tmp_path / f"d{number}").mkdir()
            (tmp_path / f"d{number}" / "x").write_text(str(number))
    keeper = keeper_of(tmp_path)
    keeper.take(1, LIMIT)
    before = state(tmp_path)
    for number in range(0, 3000, 2):
        (tmp_path / f"f{number}").unlink()
    (tmp_path / "d0").rename(tmp_path / "f0")
    keeper.restore(1)
    assert state(tmp_path) == before


def test_the_first_base_copies_everything_and_the_next_what_was_changed(keeper: Keeper, workspace: Path):
    """Counted in bytes; a renamed file and one more name of a file cost nothing."""
    size = sum(map(len, FILES.values()))
    first = keeper.take(1, LIMIT)
    assert (first["copied_bytes"], first["kept_bytes"]) == (size, size)
    assert keeper.take(2, LIMIT)["copied_bytes"] == 0
    (workspace / "b").write_bytes(b"x" * 5000)
    (workspace / "d" / "e" / "g").rename(workspace / "moved")
    (workspace / "link").hardlink_to(workspace / "moved")
    third = keeper.take(3, LIMIT)
    assert third["copied_bytes"] == 5000
    assert third["kept_bytes"] == size + 5000


def test_a_restored_file_is_not_copied_again(keeper: Keeper, workspace: Path):
    """What was written at a return is known."""
    keeper.take(1, LIMIT)
    (workspace / "b").write_bytes(b"x" * 5000)
    (workspace / "d" / "e" / "g").unlink()
    assert keeper.restore(1)["written_bytes"] == len(FILES["b"]) + len(FILES["d/e/g"])
    assert keeper.take(2, LIMIT)["copied_bytes"] == 0


def test_only_what_is_different_is_written(keeper: Keeper, workspace: Path):
    """A byte changed in the middle of a large file costs a piece of it, not all."""
    (workspace / "large").write_bytes(bytes(range(256)) * 32 * 1024)
    keeper.take(1, LIMIT)
    with (workspace / "large").open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"changed")
    assert keeper.restore(1)["written_bytes"] == 1 << 20


def test_bases_nest(keeper: Keeper, workspace: Path):
    """A transaction's, and those of its savepoints: each can be gone back to, in any order, more than once."""
    states = {}
    for number in (1, 2, 3):
        (workspace / "b").write_bytes(b"%d" % number * 5000)
        (workspace / f"new{number}").write_bytes(b"%d" % number)
        (workspace / "d" / "e").rename(workspace / "d" / "t")
        (workspace / "d" / "t").rename(workspace / "d" / "e")
        keeper.take(number, LIMIT)
        states[number] = state(workspace)
    for number in (3, 2, 3, 1, 2, 1, 3):
        (workspace / "b").write_bytes(b"changed")
        shutil.rmtree(workspace / "d")
        keeper.restore(number)
        assert state(workspace) == states[number], number


def test_a_dropped_base_gives_its_memory_back(keeper: Keeper, workspace: Path, monkeypatch):
    """But for what the others have of it, and a little for the next."""
    size = sum(map(len, FILES.values()))
    keeper.take(1, LIMIT)
    (workspace / "b").write_bytes(b"x" * 5000)
    keeper.take(2, LIMIT)
    keeper.drop(1)
    keeper.drop(1)
    assert keeper._copies.kept_bytes == size - len(FILES["b"]) + 5000
    keeper.drop(2)
    assert keeper.take(3, LIMIT)["copied_bytes"] == 0
    monkeypatch.setattr(keepers, "IDLE_BYTES", 1000)
    keeper.drop(3)
    assert keeper._copies.kept_bytes == 0
    assert os.fstat(keeper._copies._memory).st_blocks == 0


def test_over_the_bound_nothing_is_kept(keeper: Keeper, workspace: Path):
    """The bound is that of all copies together; what was kept before is still there, and the workspace as it was."""
    size = sum(map(len, FILES.values()))
    with pytest.raises(TooLarge, match=str(size - 1)):
        keeper.take(1, size - 1)
    assert keeper._copies.kept_bytes == 0
    keeper.take(1, size)
    before = state(workspace)
    (workspace / "more").write_bytes(b"x" * 10_000)
    with pytest.raises(TooLarge):
        keeper.take(2, size)
    assert keeper._copies.kept_bytes == size
    with pytest.raises(KeyError):
        keeper.restore(2)
    keeper.restore(1)
    assert state(workspace) == before


def test_what_is_kept_for_the_next_base_does_not_count(keeper: Keeper, workspace: Path):
    """Copies that only save work make room where it is needed."""
    keeper.take(1, LIMIT)
    keeper.drop(1)
    for path, content in FILES.items():
        (workspace / path).write_bytes(os.urandom(len(content)))
    size = sum(map(len, FILES.values()))
    assert keeper.take(2, size)["kept_bytes"] == size


def test_more_files_than_can_be_kept(keeper: Keeper, monkeypatch):
    """The number of files is bounded too."""
    monkeypatch.setattr("sandbank_runner.files.base.ENTRIES", 6)
    with pytest.raises(TooLarge, match="more than 6 files"):
        keeper.take(1, LIMIT)


def test_deeper_than_a_path_reaches(keeper: Keeper, workspace: Path):
    """Cannot be kept; where it was made since, it is deleted."""
    keeper.take(1, LIMIT)
    before = state(workspace)
    here = os.open(workspace, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("x" * 200, dir_fd=here)
        below = os.open("x" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    with pytest.raises(TooLarge, match="deeper"):
        keeper.take(2, LIMIT)
    keeper.restore(1)
    assert state(workspace) == before


def test_descriptors_do_not_grow(keeper: Keeper, workspace: Path):
    """Nothing stays open but the store."""
    keeper.take(1, LIMIT)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(10):
        (workspace / "a").rename(workspace / "b")
        keeper.restore(1)
        keeper.take(number + 2, LIMIT)
        (workspace / "new").write_bytes(b"%d" % number * 10_000)
        with pytest.raises(TooLarge):
            keeper.take(99, 0)
    assert len(os.listdir("/proc/self/fd")) == before


class Asking:
    """A keeper in a thread, asked over its socket."""

    def __init__(self, workspace: Path) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(20)
        self.socket = ours
        self._frames = FrameSocket(ours)
        self.thread = threading.Thread(target=self._serve, args=(theirs, str(workspace)))
        self.thread.start()

    def _serve(self, connection: socket.socket, workspace: str) -> None:
        with connection:
            serve(connection, workspace)

    def ask(self, request: str, **fields: Any) -> dict[str, Any]:
        """Ask and return the answer."""
        self._frames.send(pack_header({"request": request, **fields}))
        return parse_header(self._frames.receive()[1])


@pytest.fixture
def asking(workspace: Path) -> Iterator[Asking]:
    """One that ends with its socket."""
    asking = Asking(workspace)
    yield asking
    asking.socket.close()
    asking.thread.join(20)
    assert not asking.thread.is_alive()


def test_one_request_after_the_other(asking: Asking, workspace: Path):
    """On one connection, until it is closed."""
    assert asking.ask("base", number=1, limit=LIMIT)["entries"] == len(FILES) + 2
    (workspace / "a").unlink()
    assert asking.ask("restore", number=1) == {"written_bytes": 3}
    assert (workspace / "a").read_bytes() == b"one"
    assert asking.ask("drop", number=1) == {}


def test_what_fails_is_said(asking: Asking):
    """And ends nothing."""
    assert asking.ask("base", number=1, limit=10)["failure"]["reason"] == "FILES_TOO_LARGE"
    assert asking.ask("restore", number=1)["failure"]["reason"] == "BUG"
    assert asking.ask("nonsense", number=1)["failure"]["reason"] == "BUG"
    assert asking.ask("drop", number=7) == {}
