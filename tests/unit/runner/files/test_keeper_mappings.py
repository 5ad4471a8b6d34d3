"""Writes that leave no sign but that the file was open: what the keeper makes of them."""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sandbank_runner.files import openings
from sandbank_runner.files.base import signature_of
from sandbank_runner.files.keeper import Keeper
from sandbank_runner.walls.numbers import number_of
from sandbank_runner.walls.system_calls import system_call

from tests.unit.runner.files.workspaces import LIMIT


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
