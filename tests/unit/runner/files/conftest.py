"""A workspace and a helper that serves it, with something outside to reach for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.other_users import let_through
from tests.unit.runner.files.helper_probe import HelperProbe


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
