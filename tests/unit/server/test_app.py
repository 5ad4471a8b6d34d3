"""What the composition root itself decides."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sandbank_server.app as app_module
from sandbank_server.app import App
from sandbank_server.config import Settings
from sandbank_server.instance import Instance
from sandbank_server.runtimes.base import Endpoint, LaunchedSandbox
from sandbank_server.runtimes.local import LocalRuntime, LocalSettings
from structlog.testing import capture_logs

LAUNCHED = LaunchedSandbox("sb-000000000000", Endpoint("/nowhere", "runner.sock", 1))


class NamedRuntime(LocalRuntime):
    """A runtime that is asked for nothing but its name."""

    def __init__(self, name: str, data_dir: Path) -> None:
        super().__init__(LocalSettings(data_dir))
        self.name = name  # type: ignore[misc]


@pytest.mark.parametrize(("runtime", "warnings"), [("docker", 1), ("local", 0)])
async def test_an_operator_is_told_once_of_missing_walls(
    runtime: str, warnings: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel without Landlock, say: each sandbox reports it, the log has it once."""

    async def connect(_launched: LaunchedSandbox) -> Any:
        return SimpleNamespace(hello=SimpleNamespace(missing_walls=["landlock"]))

    monkeypatch.setattr(app_module, "connect", connect)
    instance = Instance.acquire(tmp_path)
    app = App(Settings(data_dir=tmp_path), instance, NamedRuntime(runtime, tmp_path), lambda _progress: None)
    try:
        with capture_logs() as lines:
            for _ in range(3):
                await app._connect(LAUNCHED)
        assert [line["missing"] for line in lines] == ["landlock"] * warnings
    finally:
        await app.close()
        instance.release()
