"""Restores that were broken off leave the workspace as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sandbank_runner.files.restores import LAID, undo_restores
from sandbank_runner.files.workspace import Workspace
from sandbank_runner.interpreter.checkpoints.laying import Laid

MOVES = 7
"""Of the restore here: three things go, one name is changed, three things come."""


class _Died(BaseException):
    """Stands for SIGKILL: nothing of the process runs after it."""


def content(directory: Path) -> dict[str, str]:
    """Return all that is in a directory, with the content of files."""
    return {
        str(path.relative_to(directory)): path.read_text() if path.is_file() else ""
        for path in directory.rglob("*")
    }


def fill(directory: Path, word: str, names: list[str]) -> None:
    """Write some files."""
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{word} {name}")


def undo(directory: Path) -> None:
    """Do it as the helper does."""
    workspace = Workspace(str(directory))
    try:
        undo_restores(workspace)
    finally:
        workspace.close()


@pytest.mark.parametrize("moves", range(MOVES))
def test_wherever_it_was_broken_off_the_old_files_are_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    """After each of its steps the process may have died; also where old and new have names in common."""
    fill(tmp_path, "old", ["same", "gone", "both/one"])
    before = content(tmp_path)
    laid = Laid(str(tmp_path))
    fill(Path(laid.top), "new", ["same", "came", "both/two"])
    done = 0
    move = Laid._move

    def die_in_time(self: Laid, moved: list[tuple[str, str]], source: str, target: str) -> None:
        nonlocal done
        if done == moves:
            raise _Died
        done += 1
        move(self, moved, source, target)

    monkeypatch.setattr(Laid, "_move", die_in_time)
    with pytest.raises(_Died):
        laid.place()
    undo(tmp_path)
    assert content(tmp_path) == before


def test_a_restore_that_came_to_its_end_is_left_alone(tmp_path: Path) -> None:
    """Its files stay."""
    fill(tmp_path, "old", ["same", "gone"])
    laid = Laid(str(tmp_path))
    fill(Path(laid.top), "new", ["same", "came"])
    laid.place()
    undo(tmp_path)
    assert content(tmp_path) == {"same": "new same", "came": "new came"}


def test_an_error_on_the_way_leaves_the_old_files_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It undoes its own steps, the last as well."""
    fill(tmp_path, "old", ["same", "gone"])
    before = content(tmp_path)
    laid = Laid(str(tmp_path))
    fill(Path(laid.top), "new", ["same", "came"])
    rename = os.rename

    def refuse(source: str, target: str) -> None:
        if target.endswith("/came") and LAID not in target:
            raise OSError("refused")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(OSError, match="refused"):
        laid.place()
    laid.remove()
    assert content(tmp_path) == before
