"""A workspace that its owner has closed to himself."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sandbank_runner.interpreter.checkpoints.chunks import Store
from sandbank_runner.interpreter.checkpoints.contents import Cargo
from sandbank_runner.interpreter.checkpoints.frames import Connection
from sandbank_runner.interpreter.checkpoints.tree import Tree

from tests.unit.runner.walls.in_child import error_of, in_child

NOBODY = 65534


@pytest.fixture
def workspace() -> Iterator[Path]:
    """Where somebody else than root may go to."""
    with TemporaryDirectory(dir="/dev/shm") as path:
        yield Path(path)


def error_for_nobody(workspace: Path) -> int:
    """Return the errno that a process which is not root's gets when it tells what is there."""

    def tell() -> int:
        if os.getuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        return error_of(lambda: list(Tree(str(workspace), Cargo(Connection(-1), Store())).entries({})))

    return in_child(tell)


@pytest.mark.parametrize("mode", [0, 0o300, 0o400])
def test_a_closed_workspace_is_not_taken_to_be_empty(workspace: Path, mode: int) -> None:
    """Neither where it cannot be listed nor where what it lists cannot be looked at: the checkpoint fails."""
    (workspace / "a").mkdir()
    if os.getuid() == 0:
        os.chown(workspace, NOBODY, NOBODY)
    workspace.chmod(mode)
    assert error_for_nobody(workspace) == errno.EACCES
    workspace.chmod(0o700)
    assert error_for_nobody(workspace) == 0
