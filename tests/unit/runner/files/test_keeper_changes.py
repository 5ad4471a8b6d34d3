"""What the keeper brings back: every kind of change to a file or a directory, undone."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from sandbank_runner.files.keeper import Keeper

from tests.unit.runner.files.workspaces import FILES, LIMIT, inodes


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


def test_a_second_change_within_one_tick_is_brought_back(undone, workspace: Path):
    """However soon after the base a file is changed, and whatever the kernel's clock of files shows."""
    for number in range(100):
        (workspace / "a").write_bytes(b"%03d" % number)
        undone(lambda: (workspace / "a").write_bytes(b"xyz"))
