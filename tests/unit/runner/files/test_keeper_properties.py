"""The keeper against a model that copies everything: random changes, bases and returns."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sandbank_runner.files.changes import ADDED, MODE_CHANGED, MODIFIED, REMOVED, changes
from sandbank_runner.files.index import take
from sandbank_runner.files.keeper import Keeper

from tests.unit.runner.files.workspaces import state

NAMES = ("a", "b", "d", "d/a", "d/b", "d/d", "d/d/a", "d/d/b")
SIZES = (0, 1, 7, 4096, 4097, 70_000)

names = st.sampled_from(NAMES)
Step = tuple[str, str, str, int]


def _overwrite(path: Path, number: int) -> None:
    with path.open("r+b") as file:
        file.seek(number * 10_000)
        file.write(b"changed")


def _append(path: Path, number: int) -> None:
    with path.open("ab") as file:
        file.write(_content(number))


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _replace(path: Path, number: int) -> None:
    fresh = path.with_name("t")
    fresh.write_bytes(_content(number))
    fresh.replace(path)


def _content(number: int) -> bytes:
    return bytes([65 + number]) * SIZES[number]


CHANGES: dict[str, Callable[[Path, Path, int], object]] = {
    "write": lambda path, _, number: path.write_bytes(_content(number)),
    "overwrite": lambda path, _, number: _overwrite(path, number),
    "append": lambda path, _, number: _append(path, number),
    "truncate": lambda path, _, number: os.truncate(path, SIZES[number]),
    "delete": lambda path, _, number: _delete(path),
    "directory": lambda path, _, number: path.mkdir(),
    "rename": lambda path, other, _: path.rename(other),
    "replace": lambda path, _, number: _replace(path, number),
    "link": lambda path, other, _: other.hardlink_to(path),
    "symlink": lambda path, other, _: path.symlink_to(other.name),
    "mode": lambda path, _, number: path.chmod((0o600, 0o644, 0o755, 0o700, 0o711, 0o640)[number]),
    "time": lambda path, _, number: os.utime(path, (number, number), follow_symlinks=False),
}
"""By kind: of a path, another one and a number."""

steps = st.lists(
    st.tuples(
        st.sampled_from((*CHANGES, "base", "base", "restore", "drop")), names, names, st.integers(0, 5)
    ),
    max_size=40,
)


def change(workspace: Path, kind: str, one: str, other: str, number: int) -> None:
    """Do one of the changes, as far as it can be done."""
    with contextlib.suppress(OSError):
        CHANGES[kind](workspace / one, workspace / other, number)


@pytest.fixture(params=[None, "/dev/shm"], ids=["disk", "memory"])
def make(request: pytest.FixtureRequest) -> Callable[[], tempfile.TemporaryDirectory[str]]:
    """Make workspaces: the kernel's file systems differ in inodes and times."""
    return lambda: tempfile.TemporaryDirectory(dir=request.param, prefix="keeper-")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=steps)
@example(
    program=[("write", "a", "a", 2), ("base", "a", "a", 0), ("rename", "a", "b", 0), ("restore", "a", "a", 0)]
)
def test_a_base_brings_back_what_was_there(make, program: list[Step]):
    """Whatever happened since, to whichever of several bases, as often as one likes."""
    with make() as directory, closing(Keeper(directory)) as keeper:
        workspace = Path(directory)
        expected: dict[int, dict[str, tuple[object, ...]]] = {}
        for kind, one, other, number in program:
            if kind == "base":
                keeper.take(number, 1 << 30)
                expected[number] = state(workspace)
            elif kind == "drop":
                keeper.drop(number)
                expected.pop(number, None)
            elif kind == "restore":
                if number in expected:
                    keeper.restore(number)
                    assert state(workspace) == expected[number]
            else:
                change(workspace, kind, one, other, number)
        for number, wanted in expected.items():
            keeper.restore(number)
            assert state(workspace) == wanted
            keeper.drop(number)
        keeper._forget_idle()
        assert keeper._copies.kept_bytes == 0


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=steps, since=steps)
def test_the_index_tells_what_is_different(make, before: list[Step], since: list[Step]):
    """Never less than a comparison of all content would find, and of what it tells, nothing that is not there."""
    with make() as directory:
        workspace = Path(directory)
        _run(workspace, before)
        first, old = take(directory), state(workspace)
        _run(workspace, since)
        told = dict(changes(first, take(directory, first)))
        new = state(workspace)
        for path in {*old, *new} - {"."}:
            was, now = old.get(path), new.get(path)
            kind = told.pop(path, None)
            if was is None:
                assert kind == ADDED
            elif now is None:
                assert kind == REMOVED
            elif was[2] != now[2] and _seen(was) != _seen(now):
                assert kind == MODIFIED
            elif was[0] != now[0]:
                assert kind in (MODE_CHANGED, MODIFIED)
        assert told == {}


def _seen(entry: tuple[object, ...]) -> object:
    """Return the content of a file without the name that stands for its inode, else the target of a link."""
    return entry[2][0] if isinstance(entry[2], tuple) else entry[2]


def _run(workspace: Path, program: list[Step]) -> None:
    for kind, one, other, number in program:
        if kind not in ("base", "restore", "drop"):
            change(workspace, kind, one, other, number)
