"""Indexes of a workspace: what two of them tell apart, and what they cost."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sandbank_runner.files import index as indexes
from sandbank_runner.files.changes import ADDED, MODE_CHANGED, MODIFIED, REMOVED, changes, shown
from sandbank_runner.files.index import Index, take

FILES = {"a": "one", "b": "two", "d/c": "three", "d/e/f": "four"}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with a few files."""
    top = tmp_path / "workspace"
    for path, text in FILES.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(text)
    return top


@pytest.fixture
def difference(workspace: Path) -> Callable[[Callable[[], object]], list[tuple[str, int]]]:
    """Return what is different after a function was called."""

    def find(change: Callable[[], object]) -> list[tuple[str, int]]:
        before = take(str(workspace))
        change()
        return changes(before, take(str(workspace), before))

    return find


def test_nothing_changed_is_nothing_told(difference):
    """Two looks at the same are equal, and so are reads, listings and looks at attributes in between."""
    assert difference(lambda: None) == []


def test_reading_is_no_change(difference, workspace: Path):
    """Times of access count for nothing."""
    assert difference(lambda: [(workspace / path).read_text() for path in FILES]) == []


def test_created_changed_deleted(difference, workspace: Path):
    """Each file is told once, by what happened to it, in the order of the paths."""

    def change() -> None:
        (workspace / "new").write_text("")
        (workspace / "d" / "c").write_text("another")
        (workspace / "a").unlink()

    assert difference(change) == [("a", REMOVED), ("d/c", MODIFIED), ("new", ADDED)]


def test_another_content_of_the_same_size_at_once_is_seen(workspace: Path):
    """However fast one change follows the other, and however coarse the kernel's clock of files is."""
    path = workspace / "a"
    index = take(str(workspace))
    for round_ in range(200):
        with path.open("r+b") as file:
            file.write(b"%03d" % round_)
        following = take(str(workspace), index)
        assert changes(index, following) == [("a", MODIFIED)], round_
        index = following
        following = take(str(workspace), index)
        assert changes(index, following) == []
        index = following


def test_within_one_tick_the_content_decides(workspace: Path, monkeypatch: pytest.MonkeyPatch):
    """Where all times stay the same, as with a clock of 10 ms: a change of a small young file is seen."""
    real = take(str(workspace))
    signature = real.directories[""]["a"]
    monkeypatch.setattr(indexes, "_clock", lambda _: 0)  # everything is younger than that
    before = take(str(workspace))
    assert set(before.young) == set(FILES)
    (workspace / "a").write_text("two")
    after = take(str(workspace), before)
    stopped = after.directories[""]
    stopped["a"] = before.directories[""]["a"] = signature
    after.again = indexes._digests(after, ["a"], lambda path: os.open(workspace / path, os.O_RDONLY))
    assert changes(before, after) == [("a", MODIFIED)]


def test_old_files_are_not_read(workspace: Path, monkeypatch: pytest.MonkeyPatch):
    """A digest is taken only of what may change without a sign: nothing is read for what has been there for long."""
    for path in FILES:
        assert (workspace / path).stat().st_ctime_ns < time.time_ns()
    monkeypatch.setattr(indexes, "_clock", lambda _: time.time_ns() + 10**9)
    assert take(str(workspace)).young == {}


def test_large_young_files_are_not_read(workspace: Path, monkeypatch: pytest.MonkeyPatch):
    """The cost of looking does not grow with what was written."""
    monkeypatch.setattr(indexes, "_clock", lambda _: 0)
    with (workspace / "large").open("wb") as file:
        file.truncate(1 << 40)
    for number in range(10):
        (workspace / f"medium{number}").write_bytes(bytes(200_000))
    young = take(str(workspace)).young
    assert young["large"] == b""
    assert sum(1 for path, digest in young.items() if path.startswith("medium") and digest) == 5


def test_a_rename_is_removed_and_added(difference, workspace: Path):
    """Of a directory, all that is in it."""
    assert difference(lambda: (workspace / "d").rename(workspace / "x")) == [
        ("d", REMOVED),
        ("d/c", REMOVED),
        ("d/e", REMOVED),
        ("d/e/f", REMOVED),
        ("x", ADDED),
        ("x/c", ADDED),
        ("x/e", ADDED),
        ("x/e/f", ADDED),
    ]


def test_replaced_by_another_file_is_modified(difference, workspace: Path):
    """Also where size and time of modification are kept."""

    def change() -> None:
        status = (workspace / "a").stat()
        (workspace / "x").write_text("uno")
        os.utime(workspace / "x", ns=(status.st_atime_ns, status.st_mtime_ns))
        (workspace / "x").replace(workspace / "a")

    assert difference(change) == [("a", MODIFIED)]


def test_a_turned_back_clock_hides_nothing(difference, workspace: Path):
    """Whoever writes and sets the time of modification back cannot set the time of that."""

    def change() -> None:
        status = (workspace / "a").stat()
        (workspace / "a").write_text("uno")
        os.utime(workspace / "a", ns=(status.st_atime_ns, status.st_mtime_ns))

    assert difference(change) == [("a", MODIFIED)]


@pytest.mark.parametrize("path", ["a", "d"])
def test_permissions_are_told_apart_from_content(difference, workspace: Path, path: str):
    """A changed mode alone is MODE_CHANGED, of files and of directories."""
    assert difference(lambda: (workspace / path).chmod(0o700 if path == "a" else 0o711)) == [
        (path, MODE_CHANGED)
    ]


def test_truncated_is_modified(difference, workspace: Path):
    """A shorter file is a changed one."""
    assert difference(lambda: os.truncate(workspace / "a", 0)) == [("a", MODIFIED)]


def test_one_more_name_changes_nothing_of_the_file(difference, workspace: Path):
    """A hard link is a new file beside one that is what it was."""
    assert difference(lambda: (workspace / "link").hardlink_to(workspace / "a")) == [("link", ADDED)]


def test_links_are_what_they_are(difference, workspace: Path):
    """A link is told as a file of its own and never followed, not even to a directory or out of the workspace."""
    (workspace / "out").symlink_to("/etc")
    (workspace / "in").symlink_to("d")
    assert sorted(take(str(workspace)).directories) == ["", "d/", "d/e/"]

    def change() -> None:
        (workspace / "in").unlink()
        (workspace / "in").symlink_to("b")
        (workspace / "d" / "c").write_text("x")

    assert difference(change) == [("d/c", MODIFIED), ("in", MODIFIED)]


def test_what_is_no_file_is_told_and_not_opened(difference, workspace: Path):
    """Fifos and sockets: nothing blocks."""

    def change() -> None:
        os.mkfifo(workspace / "fifo")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(os.path.relpath(workspace / "socket"))

    assert difference(change) == [("fifo", ADDED), ("socket", ADDED)]


def test_a_file_that_becomes_a_directory(difference, workspace: Path):
    """Its path is modified, what lies in it is added."""

    def change() -> None:
        (workspace / "a").unlink()
        (workspace / "a").mkdir()
        (workspace / "a" / "x").write_text("")

    assert difference(change) == [("a", MODIFIED), ("a/x", ADDED)]


def test_a_closed_directory_hides_what_is_in_it(difference, workspace: Path, nobody: Callable[[], None]):
    """It is not told as removed, nor as added when the directory is opened again."""
    nobody()
    assert difference(lambda: (workspace / "d").chmod(0)) == [("d", MODE_CHANGED)]
    assert difference(lambda: (workspace / "d").chmod(0o755)) == [("d", MODE_CHANGED)]


def test_more_than_fits_is_truncated(workspace: Path):
    """An index holds so many entries and says so; what it does hold is compared."""
    assert not take(str(workspace), limit=6).truncated
    index = take(str(workspace), limit=5)
    assert index.truncated
    assert index.count <= 6
    (workspace / "a").write_text("changed")
    (workspace / "new").write_text("changed")
    assert ("a", MODIFIED) in changes(index, take(str(workspace), index, limit=5))


def test_one_directory_with_more_than_fits_ends_early(tmp_path: Path):
    """No directory makes an index larger than it may be."""
    for number in range(50):
        (tmp_path / str(number)).touch()
    index = take(str(tmp_path), limit=10)
    assert (index.truncated, index.count) == (True, 11)


def test_names_that_are_not_utf8(difference, workspace: Path):
    """They are compared as any other and shown escaped, as in listings."""
    name = os.path.join(os.fsencode(workspace), b"\xff")
    (found,) = difference(lambda: open(name, "wb").close())
    assert found[1] == ADDED
    assert shown(found[0]) == "\\xff"
    assert shown("ä/b") == "ä/b"


def test_a_workspace_that_is_gone_is_an_error(tmp_path: Path):
    """There is nothing to tell then."""
    with pytest.raises(FileNotFoundError):
        take(str(tmp_path / "none"))


def test_an_index_finds_by_path(workspace: Path):
    """At the top and below it."""
    index: Index = take(str(workspace))
    for path in FILES:
        found = index.find(path)
        assert found is not None
        assert found[1] == (workspace / path).stat().st_ino
    assert index.find("d/none") is None
