"""Files that are written to while they are saved: each is had as it was at one moment, or is lost alone."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from sandbank_runner.interpreter.checkpoints.chunks import Store
from sandbank_runner.interpreter.checkpoints.contents import Cargo
from sandbank_runner.interpreter.checkpoints.tree import Tree

from tests.unit.runner.interpreter.checkpoints.plane import Manifest, Plane
from tests.unit.runner.interpreter.harness import Interpreter

MEGABYTE = 1 << 20
LARGE = 34
"""Megabytes; contents are handed over before so many have been read."""


def content(version: int, megabytes: int = LARGE) -> bytes:
    """Return bytes of which no two megabytes are the same, nor as in another version."""
    return b"".join(b"%8d%8d" % (version, number) + bytes(MEGABYTE - 16) for number in range(megabytes))


@pytest.fixture
def large(interpreter: Interpreter) -> Path:
    """A large file in the workspace, beside a variable and a small file."""
    workspace = Path(eval(interpreter.ok("import os; os.getcwd()").text))
    interpreter.ok("n = 1; open('small', 'w').write('small')")
    path = workspace / "large"
    path.write_bytes(content(0))
    return path


def restored_files(
    plane: Plane, manifest: Manifest, start: Callable[..., Interpreter]
) -> tuple[Interpreter, Path]:
    """Load a checkpoint into a fresh interpreter; return that and its workspace."""
    target = start()
    loaded = plane.load(target, manifest)
    assert loaded.ok
    return target, Path(eval(target.ok("import os; os.getcwd()").text))


def test_contents_are_handed_over_while_the_rest_is_read(
    interpreter: Interpreter, plane: Plane, large: Path, start: Callable[..., Interpreter]
):
    """So it costs little memory, and none is read twice; the next checkpoint keeps what has not changed."""
    manifest = plane.checkpoint(interpreter, "one")
    assert sum(map(len, manifest.offered)) >= 32
    assert all(sum(lengths.values()) <= 17 * MEGABYTE for lengths in manifest.offered)
    assert manifest.new_bytes < (LARGE + 1) * MEGABYTE
    _, workspace = restored_files(plane, manifest, start)
    assert (workspace / "large").read_bytes() == content(0)
    assert plane.checkpoint(interpreter, "two").kept_files >= {"large"}


def test_a_file_that_is_changed_once_is_saved_as_it_is_then(
    interpreter: Interpreter, plane: Plane, large: Path, start: Callable[..., Interpreter]
):
    """Not half of the one and half of the other."""
    waiting = [lambda: large.write_bytes(content(1))]
    plane.at_offer = lambda: waiting.pop()() if waiting else None
    manifest = plane.checkpoint(interpreter)
    assert not waiting
    assert manifest.file("large")["lost"] == ""
    _, workspace = restored_files(plane, manifest, start)
    assert (workspace / "large").read_bytes() == content(1)


def test_a_file_that_only_grows_is_saved_as_it_was(
    interpreter: Interpreter, plane: Plane, large: Path, start: Callable[..., Interpreter]
):
    """A log never holds still: what was in it at one moment is what comes back."""

    def grow() -> None:
        with large.open("ab") as file:
            file.write(b"a line\n")

    plane.at_offer = grow
    manifest = plane.checkpoint(interpreter)
    entry = manifest.file("large")
    assert (entry["lost"], entry["size"]) == ("", sum(length for _, length in entry["chunks"]))
    _, workspace = restored_files(plane, manifest, start)
    saved = (workspace / "large").read_bytes()
    assert large.read_bytes().startswith(saved)
    assert len(saved) >= LARGE * MEGABYTE
    assert len(large.read_bytes()) > len(saved)


def test_a_file_that_never_holds_still_is_lost_alone(
    interpreter: Interpreter, plane: Plane, large: Path, start: Callable[..., Interpreter]
):
    """With a reason; everything else is saved, and a restore goes on without it."""
    versions = iter(range(1, 1000))
    plane.at_offer = lambda: large.write_bytes(content(next(versions)))
    manifest = plane.checkpoint(interpreter, "one")
    entry = manifest.file("large")
    assert "written to each time" in entry["lost"]
    assert (entry["chunks"], entry["sha256"], entry["signature"]) == ([], "", [])
    assert 5 <= next(versions) <= 30  # it was tried again, and not for ever
    assert manifest.exact >= {"n"}
    target, workspace = restored_files(plane, manifest, start)
    assert target.ok("n").text == "1"
    assert sorted(path.name for path in workspace.iterdir()) == ["small"]
    plane.at_offer = lambda: None
    second = plane.checkpoint(interpreter, "two")
    assert second.file("large")["lost"] == ""
    assert second.kept_files >= {"small"}


def test_what_is_no_file_is_lost_with_a_reason(
    interpreter: Interpreter, plane: Plane, start: Callable[..., Interpreter]
):
    """A socket and a FIFO have no content: they are named, and everything else comes back."""
    interpreter.ok(
        "import os, socket\nos.mkfifo('fifo'); s = socket.socket(socket.AF_UNIX); s.bind('sock')\n"
        "s.close(); del s; n = 1; file = open('small', 'w'); _ = file.write('small'); file.close(); del file"
    )
    manifest = plane.checkpoint(interpreter, "one")
    for name in ("fifo", "sock"):
        assert "a socket, a FIFO or a device" in manifest.file(name)["lost"]
    target, workspace = restored_files(plane, manifest, start)
    assert target.ok("n").text == "1"
    assert sorted(path.name for path in workspace.iterdir()) == ["small"]


def test_a_directory_that_cannot_be_listed_is_not_taken_to_be_empty(tmp_path: Path):
    """No descriptor is left, say: it is lost with a reason, and without the workspace itself there is no checkpoint."""
    for name in ("d", "e"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    tree = Tree(str(tmp_path), Cargo(None, Store()))  # type: ignore[arg-type]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    found = tree.entries({})
    first = next(found)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        second = next(found)
        with pytest.raises(OSError, match="Too many open files"):
            next(tree.entries({}))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (first["path"], first["lost"]) == ("d", "")
    assert (second["path"], second["lost"]) == ("e", "it cannot be read: Too many open files")
    assert [each["path"] for each in found] == ["d/file"]
