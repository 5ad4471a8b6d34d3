"""The keeper: what it brings back is what was there, and what it does follows what was changed."""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import socket
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sandbank_runner.files import keeper as keepers
from sandbank_runner.files import openings
from sandbank_runner.files.base import TooLarge, signature_of
from sandbank_runner.files.keeper import Keeper, serve
from sandbank_runner.files.protocol import FrameSocket, pack_header, parse_header
from sandbank_runner.walls.numbers import number_of
from sandbank_runner.walls.system_calls import system_call

LIMIT = 1 << 30
FILES = {"a": b"one", "b": b"two" * 4000, "d/c": b"three", "d/e/f": b"", "d/e/g": os.urandom(300_000)}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with a few files."""
    top = tmp_path / "workspace"
    for path, content in FILES.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(content)
    return top


@pytest.fixture
def keeper_of() -> Iterator[Callable[[Path], Keeper]]:
    """Return a function that makes the keeper of a workspace."""
    made: list[Keeper] = []

    def make(workspace: Path) -> Keeper:
        made.append(Keeper(str(workspace)))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def keeper(workspace: Path, keeper_of: Callable[[Path], Keeper]) -> Keeper:
    """A keeper of the workspace."""
    return keeper_of(workspace)


@pytest.fixture
def undone(workspace: Path, keeper: Keeper) -> Callable[[Callable[[], object]], dict[str, Any]]:
    """Return a function that does something between a base and its return, and looks whether all is as before."""

    def check(change: Callable[[], object]) -> dict[str, Any]:
        keeper.take(1, LIMIT)
        before = state(workspace)
        change()
        answer = keeper.restore(1)
        assert state(workspace) == before
        return answer

    return check


def state(workspace: Path) -> dict[str, tuple[object, ...]]:
    """Return all there is to know of a workspace, files with several names by the first of them."""
    found: dict[str, tuple[object, ...]] = {}
    first: dict[int, str] = {}
    paths = [workspace, *sorted(workspace.rglob("*"))]
    for path in paths:
        status = path.lstat()
        name = str(path.relative_to(workspace))
        content: object = None
        if stat.S_ISREG(status.st_mode):
            content = (path.read_bytes(), first.setdefault(status.st_ino, name))
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        found[name] = (status.st_mode, status.st_mtime_ns, content)
    return found


def inodes(workspace: Path) -> dict[str, int]:
    """Return the inode of each path."""
    return {str(path): path.lstat().st_ino for path in workspace.rglob("*")}


def test_nothing_changed(undone, workspace: Path):
    """Nothing is written then, and every file is the same one."""
    before = inodes(workspace)
    assert undone(lambda: None) == {"written_bytes": 0}
    assert inodes(workspace) == before


def test_created(undone, workspace: Path):
    """Files, directories, links, fifos and sockets that were not there are gone."""

    def change() -> None:
        (workspace / "new").write_text("x")
        (workspace / "d" / "new" / "deep").mkdir(parents=True)
        (workspace / "d" / "new" / "deep" / "file").write_text("x")
        (workspace / "link").symlink_to("/etc/passwd")
        os.mkfifo(workspace / "fifo")

    assert undone(change) == {"written_bytes": 0}


def test_changed(undone, workspace: Path):
    """Other content, of the same size or another one."""

    def change() -> None:
        (workspace / "a").write_bytes(b"uno")
        (workspace / "b").write_bytes(b"twotwo")
        with (workspace / "d" / "e" / "g").open("r+b") as file:
            file.seek(150_000)
            file.write(b"changed")
        with (workspace / "d" / "e" / "f").open("ab") as file:
            file.write(b"more")

    undone(change)


def test_a_changed_file_is_the_same_file_afterwards(undone, workspace: Path):
    """Whoever has it open goes on with it, and reads what was there."""
    with (workspace / "d" / "e" / "g").open("rb") as file:
        undone(lambda: (workspace / "d" / "e" / "g").write_bytes(b"changed"))
        assert file.read() == FILES["d/e/g"]


def test_deleted(undone, workspace: Path):
    """Files and whole directories are made anew."""

    def change() -> None:
        (workspace / "a").unlink()
        shutil.rmtree(workspace / "d")

    undone(change)


def test_everything_deleted(undone, workspace: Path):
    """The workspace itself stays."""
    inode = workspace.stat().st_ino

    def change() -> None:
        for path in workspace.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    undone(change)
    assert workspace.stat().st_ino == inode


def test_renamed(undone, workspace: Path):
    """Files and directories are the same ones afterwards: nothing has to be written."""
    before = inodes(workspace)

    def change() -> None:
        (workspace / "a").rename(workspace / "d" / "z")
        (workspace / "d").rename(workspace / "x")
        (workspace / "x" / "e").rename(workspace / "e")
        (workspace / "b").rename(workspace / "e" / "b")

    assert undone(change) == {"written_bytes": 0}
    assert inodes(workspace) == before


def test_exchanged(undone, workspace: Path):
    """Two files that change places, and a directory that comes to lie in what was its own."""
    before = inodes(workspace)

    def change() -> None:
        (workspace / "a").rename(workspace / "t")
        (workspace / "b").rename(workspace / "a")
        (workspace / "t").rename(workspace / "b")
        (workspace / "d" / "e").rename(workspace / "t")
        (workspace / "d").rename(workspace / "t" / "d")
        (workspace / "t").rename(workspace / "d")

    assert undone(change) == {"written_bytes": 0}
    assert inodes(workspace) == before


def test_renamed_over(undone, workspace: Path):
    """As editors save."""

    def change() -> None:
        (workspace / "t").write_bytes(b"new")
        (workspace / "t").replace(workspace / "a")
        (workspace / "b").replace(workspace / "d" / "c")

    undone(change)


def test_truncated_and_extended(undone, workspace: Path):
    """To nothing, to less, to a hole of a terabyte."""

    def change() -> None:
        os.truncate(workspace / "a", 0)
        os.truncate(workspace / "b", 5000)
        os.truncate(workspace / "d" / "e" / "g", 1 << 40)

    undone(change)


def test_modes(undone, workspace: Path):
    """Of files and directories, and of the workspace itself."""

    def change() -> None:
        for path in (workspace / "a", workspace / "d" / "e", workspace):
            path.chmod(0o711)

    assert undone(change) == {"written_bytes": 0}


def test_times(undone, workspace: Path):
    """Times of modification, of links too."""
    (workspace / "link").symlink_to("a")

    def change() -> None:
        for name in ("a", "d", "link"):
            os.utime(workspace / name, (0, 0), follow_symlinks=False)

    assert undone(change) == {"written_bytes": 0}


def test_a_change_with_the_old_time(undone, workspace: Path):
    """Whoever sets the time of modification back hides nothing."""

    def change() -> None:
        status = (workspace / "a").stat()
        (workspace / "a").write_bytes(b"uno")
        os.utime(workspace / "a", ns=(status.st_atime_ns, status.st_mtime_ns))

    undone(change)


def test_links(undone, workspace: Path):
    """Their targets, wherever these are; nothing is followed."""
    (workspace / "in").symlink_to("d")
    (workspace / "out").symlink_to("/etc/passwd")
    (workspace / "none").symlink_to(b"\xff/" + b"x" * 500)

    def change() -> None:
        (workspace / "in").unlink()
        (workspace / "in").symlink_to("a")
        (workspace / "out").unlink()
        (workspace / "none").unlink()
        (workspace / "none").mkdir()

    undone(change)


def test_a_link_in_the_place_of_a_directory_leads_nowhere(undone, workspace: Path, tmp_path: Path):
    """What lies behind it stays as it is."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "c").write_text("secret")
    (outside / "other").write_text("secret")

    def change() -> None:
        shutil.rmtree(workspace / "d")
        (workspace / "d").symlink_to(outside)

    undone(change)
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"c": "secret", "other": "secret"}


def test_hard_links_stay_links(undone, workspace: Path):
    """Whatever happened to one or all of their names."""
    for name in ("l1", "d/l2", "d/e/l3"):
        (workspace / name).hardlink_to(workspace / "b")

    def some() -> None:
        (workspace / "l1").unlink()
        (workspace / "d" / "l2").unlink()
        (workspace / "d" / "l2").write_text("another file")
        (workspace / "one more").hardlink_to(workspace / "b")
        (workspace / "b").write_bytes(b"changed")

    def all_() -> None:
        for name in ("b", "l1", "d/l2", "d/e/l3"):
            (workspace / name).unlink()

    def moved() -> None:
        shutil.rmtree(workspace / "d")
        (workspace / "b").rename(workspace / "x")
        (workspace / "l1").unlink()
        (workspace / "a").unlink()
        (workspace / "a").hardlink_to(workspace / "x")

    undone(some)
    undone(all_)
    undone(moved)


def test_one_kind_in_the_place_of_another(undone, workspace: Path):
    """A file where a directory was, and the other way round."""

    def change() -> None:
        (workspace / "a").unlink()
        (workspace / "a").mkdir()
        (workspace / "a" / "x").write_text("x")
        (workspace / "d").rename(workspace / "a" / "d")
        (workspace / "d").write_text("x")

    undone(change)


def test_holes_stay_holes(undone, workspace: Path, keeper_of: Callable[[Path], Keeper]):
    """A file of a terabyte with three bytes in it can be kept, and comes back as cheap as it was."""
    with (workspace / "sparse").open("wb") as file:
        file.truncate(1 << 40)
        file.seek(1 << 39)
        file.write(b"abc")
    blocks = (workspace / "sparse").stat().st_blocks

    def state_(path: Path) -> tuple[int, bytes]:
        with path.open("rb") as file:
            file.seek((1 << 39) - 1)
            return path.stat().st_size, file.read(5)

    keeper = keeper_of(workspace)
    keeper.take(1, 10 << 20)
    before = state_(workspace / "sparse")
    with (workspace / "sparse").open("r+b") as file:
        file.truncate(1 << 41)
        file.seek(1 << 40)
        file.write(b"more")
        file.seek(1 << 39)
        file.write(b"xyz")
    keeper.restore(1)
    assert state_(workspace / "sparse") == before
    (workspace / "sparse").unlink()
    keeper.restore(1)
    assert state_(workspace / "sparse") == before
    assert (workspace / "sparse").stat().st_blocks <= blocks + 8


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o300])
def test_what_its_owner_has_closed(
    undone, workspace: Path, nobody: Callable[[], None], mode: int, keeper_of: Callable[[Path], Keeper]
):
    """Files and directories without rights are kept as well, and have none afterwards."""
    nobody()
    (workspace / "a").chmod(mode)
    (workspace / "d" / "e").chmod(mode)
    (workspace / "d").chmod(mode)

    def change() -> None:
        (workspace / "d").chmod(0o700)
        (workspace / "d" / "c").write_text("changed")
        (workspace / "a").chmod(0o600)
        (workspace / "a").write_text("changed")
        (workspace / "a").chmod(0)

    def open_(path: str, mode: int) -> None:
        (workspace / path).chmod(mode)

    keeper = keeper_of(workspace)
    keeper.take(1, LIMIT)
    assert [stat.S_IMODE((workspace / name).stat().st_mode) for name in ("a", "d")] == [mode, mode]
    change()
    workspace.chmod(0)
    keeper.restore(1)
    assert [stat.S_IMODE((workspace / name).stat().st_mode) for name in ("a", "d")] == [mode, mode]
    for name in ("a", "d", "d/e"):
        open_(name, 0o700)
    assert {path: (workspace / path).read_bytes() for path in FILES} == FILES


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


def test_a_second_change_within_one_tick_is_brought_back(undone, workspace: Path):
    """However soon after the base a file is changed, and whatever the kernel's clock of files shows."""
    for number in range(100):
        (workspace / "a").write_bytes(b"%03d" % number)
        undone(lambda: (workspace / "a").write_bytes(b"xyz"))


@pytest.fixture(params=[None, "/dev/shm"], ids=["disk", "memory"])
def mapped(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file of zeros in a workspace of its own."""
    with tempfile.TemporaryDirectory(dir=request.param) as directory:
        path = Path(directory) / "d" / "mapped"
        path.parent.mkdir()
        path.write_bytes(bytes(10_000))
        os.utime(path, (0, 0))
        yield path


def write_mapped(path: Path, content: bytes, keeper: Keeper) -> None:
    """Write through a shared mapping, and let the keeper see no sign of it: many a kernel gives none."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[: len(content)] = content
    with path.open("rb") as file:
        for base in keeper._bases.values():
            kept = base.files["d/mapped"]
            kept.signature, kept.sure = signature_of(file.fileno()), True


def test_what_was_written_through_a_mapping_is_brought_back(
    mapped: Path, keeper_of: Callable[[Path], Keeper]
):
    """Where it changes no time either, for the file was open for writing; also where it was moved since."""
    keeper = keeper_of(mapped.parent.parent)
    keeper.take(1, LIMIT)
    for moved in (False, True):
        write_mapped(mapped, b"written", keeper)
        if moved:
            mapped.parent.rename(mapped.parent.with_name("e"))
            (mapped.parent.with_name("e") / "mapped").rename(mapped.parent.with_name("f"))
        keeper.restore(1)
        assert mapped.read_bytes() == bytes(10_000)
        keeper.take(2, LIMIT)


def test_what_was_written_through_a_mapping_is_in_the_next_base(
    mapped: Path, keeper_of: Callable[[Path], Keeper]
):
    """And the one before still has what was there then."""
    keeper = keeper_of(mapped.parent.parent)
    keeper.take(1, LIMIT)
    write_mapped(mapped, b"first", keeper)
    keeper.take(2, LIMIT)
    write_mapped(mapped, b"second", keeper)
    keeper.restore(2)
    assert mapped.read_bytes()[:6] == b"first\0"
    keeper.restore(1)
    assert mapped.read_bytes() == bytes(10_000)


def test_more_openings_than_the_kernel_keeps(tmp_path: Path, keeper_of: Callable[[Path], Keeper]):
    """Then every file is read: nothing is missed."""
    names = [tmp_path / f"f{number}" for number in range(3)]
    for name in names:
        name.write_bytes(bytes(5000))
    keeper = keeper_of(tmp_path)
    keeper.take(1, LIMIT)
    for number in range(17_000):  # equal events in a row are kept as one
        names[number % 2].open("r+b").close()
    assert keeper._bases[1].suspects.everyone is False
    keeper._suspect()
    assert keeper._bases[1].suspects.everyone is True
    keeper.restore(1)
    assert keeper._bases[1].suspects.everyone is False


@pytest.mark.parametrize("missing", ["inotify_init1", "inotify_add_watch"])
def test_without_a_watch_nothing_is_missed(
    mapped: Path, keeper_of: Callable[[Path], Keeper], monkeypatch: pytest.MonkeyPatch, missing: str
):
    """Where the system has no room for one, or for one of its directories, every file is read each time."""
    workspace = mapped.parent.parent

    def full(number: int, *arguments: int) -> int:
        if number == number_of(missing):
            raise OSError(errno.EMFILE, "too many")
        return system_call(number, *arguments)

    monkeypatch.setattr(openings, "system_call", full)
    keeper = keeper_of(workspace)
    keeper.take(1, LIMIT)
    for content in (b"first", b"second"):
        write_mapped(mapped, content, keeper)
        keeper.restore(1)
        assert mapped.read_bytes() == bytes(10_000)
    write_mapped(mapped, b"third", keeper)
    keeper.take(2, LIMIT)
    write_mapped(mapped, b"fourth", keeper)
    keeper.restore(2)
    assert mapped.read_bytes()[:6] == b"third\0"


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
