"""Which runtime a control plane gets, where the engine that was named does not answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sandbank_server.config import Settings
from sandbank_server.listen import ListenError
from sandbank_server.runtimes.base import RuntimeUnavailable
from sandbank_server.runtimes.choice import choose_runtime
from structlog.testing import capture_logs


def settings(tmp_path: Path, **changes: Any) -> Settings:
    """Return settings whose engine is nowhere."""
    given = {"data_dir": str(tmp_path), "engine_url": f"unix://{tmp_path}/engine.sock", **changes}
    return Settings(**given)


async def test_auto_falls_back_with_a_loud_warning(tmp_path: Path) -> None:
    """No engine: processes, and a warning that says what that means and why."""
    with capture_logs() as lines:
        runtime = await choose_runtime(settings(tmp_path), "test")
    assert (runtime.name, runtime.isolation) == ("local", "none")
    (line,) = [line for line in lines if line["log_level"] == "warning"]
    assert "isolate nothing" in line["event"]
    assert "engine.sock" in line["reason"]
    await runtime.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"runtime": "docker"},
        # Whoever asks for a stronger wall does not want none.
        {"oci_runtime": "runsc"},
        {"runtime": "docker", "engine_url": "tcp://127.0.0.1:2375"},
        {"runtime": "docker", "seccomp_profile": "/no/such/profile.json"},
        # Wrong settings are to be mended, not to end with no wall at all.
        {"runtime": "auto", "seccomp_profile": "/no/such/profile.json"},
        {"runtime": "auto", "engine_url": "tcp://127.0.0.1:2375"},
    ],
)
async def test_containers_that_were_asked_for_are_not_replaced(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    """A runtime that was asked for and cannot be had ends the start, with the reason."""
    with pytest.raises(RuntimeUnavailable):
        await choose_runtime(settings(tmp_path, **changes), "test")


async def test_local_sandboxes_are_not_offered_to_other_machines(tmp_path: Path) -> None:
    """What isolates nothing listens on this machine only, unless the operator says otherwise."""
    open_to_all = {"runtime": "local", "listen": "0.0.0.0:50051"}
    with pytest.raises(ListenError):
        await choose_runtime(settings(tmp_path, **open_to_all), "test")
    runtime = await choose_runtime(settings(tmp_path, **open_to_all, allow_non_loopback_local=True), "test")
    assert runtime.name == "local"
    await runtime.close()
