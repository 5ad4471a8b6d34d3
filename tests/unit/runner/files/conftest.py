"""A workspace and a helper that serves it, with something outside to reach for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sandbank_runner.files.keeper import Keeper

from tests.other_users import let_through
from tests.unit.runner.files.helper_probe import HelperProbe
from tests.unit.runner.files.workspaces import FILES, LIMIT, state


@pytest.fixture
def files(tmp_path: Path) -> HelperProbe:
    """A helper on an empty workspace; beside that lies ``outside/secret``."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    return HelperProbe(workspace)


@pytest.fixture
def nobody(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Return a function that makes the test somebody whom permissions stop, as root is not, and owner of its files."""

    def become() -> None:
        if os.geteuid() != 0:
            return
        for path in (tmp_path, *tmp_path.rglob("*")):
            os.chown(path, 65534, -1, follow_symlinks=False)
        let_through(tmp_path)
        os.seteuid(65534)

    before = os.geteuid()
    yield become
    os.seteuid(before)


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
