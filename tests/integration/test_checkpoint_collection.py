"""`sandbank checkpoints gc`: content that no checkpoint needs is removed, and only that."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from sandbank import Client

from tests.server_process import SANDBANK, ServerProcess, serving

HOURS = 3600


def chunks(directory: Path) -> list[Path]:
    """Return the files of all chunks."""
    return [path for path in (directory / "checkpoints").rglob("chunks/*/*") if path.is_file()]


def grow_old(directory: Path) -> None:
    """Have the content look as if it had been there for two hours: what is young is never removed."""
    then = time.time() - 2 * HOURS
    for path in (directory / "checkpoints").rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def collect(directory: Path) -> dict[str, int]:
    """Run the command."""
    command = [SANDBANK, "checkpoints", "gc", "--data-dir", str(directory), "--json"]
    done: dict[str, int] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return done


def test_what_deleted_checkpoints_had_is_removed_with_and_without_a_server(tmp_path: Path) -> None:
    """Young content stays, and what another checkpoint shares; what is left is still a whole state."""
    process = ServerProcess("local", tmp_path, ("--min-ready", "slim=1,data=0"))
    with (
        serving(process),
        Client(process.address) as client,
        client.session(template="slim", checkpoint_policy="none") as session,
    ):
        session.run("import os; kept = os.urandom(3_000_000)")
        first = session.checkpoint()
        session.run("gone = os.urandom(3_000_000)")
        second = session.checkpoint()
        before = len(chunks(tmp_path))
        client.delete_checkpoint(second.checkpoint_id)
        assert collect(tmp_path)["chunks"] == 0
        grow_old(tmp_path)
        assert collect(tmp_path)["chunks"] == 0  # this server has seen them used less than an hour ago
    with serving(process), Client(process.address) as client:
        done = collect(tmp_path)
        assert done["chunks"] >= 3
        assert done["freed_bytes"] >= 3_000_000
        assert len(chunks(tmp_path)) == before - done["chunks"]
        with client.session(template="slim", from_checkpoint_id=first.checkpoint_id) as session:
            assert session.run("len(kept)").value == 3_000_000
        client.delete_checkpoint(first.checkpoint_id)
    grow_old(tmp_path)
    assert collect(tmp_path)["chunks"] >= 3
    assert chunks(tmp_path) == []


def test_a_directory_without_a_server_s_data_is_no_fault(tmp_path: Path) -> None:
    """There is nothing to remove."""
    assert collect(tmp_path / "new") == {"manifests": 0, "chunks": 0, "freed_bytes": 0}
