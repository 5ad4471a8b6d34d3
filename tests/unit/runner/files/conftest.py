"""A workspace and a helper that serves it, with something outside to reach for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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
    opened: list[tuple[Path, int]] = []

    def become() -> None:
        if os.geteuid() != 0:
            return
        for path in (tmp_path, *tmp_path.rglob("*")):
            os.chown(path, 65534, -1, follow_symlinks=False)
        for directory in tmp_path.parents[:2]:
            opened.append((directory, directory.stat().st_mode))
            directory.chmod(0o711)
        os.seteuid(65534)

    yield become
    if opened:
        os.seteuid(0)
    for directory, mode in opened:
        directory.chmod(mode)
