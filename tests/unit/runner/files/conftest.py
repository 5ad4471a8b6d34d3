"""A workspace and a helper that serves it, with something outside to reach for."""

from __future__ import annotations

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
