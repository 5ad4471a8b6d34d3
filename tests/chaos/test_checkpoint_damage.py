"""Checkpoints that are damaged, or have no room: it is said, and they are in the way of no other."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbank import Client, Session
from sandbank.v1 import execution_pb2, state_pb2

from tests.conftest import RUNTIMES
from tests.raw_api import connected, refused
from tests.recoveries import die, lost, outcomes, wait_crashed
from tests.sandboxes import kill_sandbox, wait_ready
from tests.server_process import ServerProcess, serving

Operation = execution_pb2.Operation
_SEEDS = itertools.count()


@pytest.fixture(scope="module", params=RUNTIMES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A control plane that keeps its checkpoints in a file system of 32 MiB."""
    path = str(tmp_path_factory.mktemp("store"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "none", path], check=True)
    process = ServerProcess(
        request.param,
        tmp_path_factory.mktemp("server"),
        ("--min-ready", "slim=2,data=0"),
        {"SANDBANK_CHECKPOINTS__STORE": path},
    )
    try:
        with serving(process):
            yield process
    finally:
        subprocess.run(["umount", path], check=True)


@pytest.fixture
def store(server: ServerProcess) -> Path:
    """Where it keeps them."""
    return Path(server.environment["SANDBANK_CHECKPOINTS__STORE"])


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    """A client, when there is a sandbox for the test and one to go on in."""
    with Client(server.address) as connected:
        wait_ready(connected, "slim", 2)
        yield connected


def files(store: Path, kind: str) -> set[Path]:
    """Return the chunks or manifests in the store."""
    return {path for path in store.glob(f"*/{kind}/**/*") if path.is_file()}


def damage(path: Path) -> None:
    """Flip a bit in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def tear(path: Path) -> None:
    """Cut it in half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def new_fill() -> str:
    """Return code that makes 1.5 MB which are in no other test's chunks: `big`, from `made()`."""
    return (
        f"import random\ndef made(): return random.Random({next(_SEEDS)}).randbytes(1_500_000)\nbig = made()"
    )


def two_checkpoints(session: Session, store: Path, kind: str, fill: str) -> tuple[str, str, set[Path]]:
    """Save twice; return both ids and what only the second one needs."""
    session.run("n = 1", operation_id="one", report_changes=True)
    older = session.checkpoint().checkpoint_id
    before = files(store, kind)
    session.run(f"n = 2\n{fill}", operation_id="two", report_changes=True)
    newer = session.checkpoint().checkpoint_id
    return older, newer, files(store, kind) - before


@pytest.mark.parametrize(("kind", "harm"), [("chunks", damage), ("chunks", Path.unlink), ("manifests", tear)])
def test_a_damaged_checkpoint_is_passed_over(
    server: ServerProcess, client: Client, store: Path, kind: str, harm
) -> None:
    """The one before it is taken, what came between is listed, the damaged one is named; the next one is whole."""
    with client.session(template="slim", checkpoint_policy="none") as session:
        fill = new_fill()
        older, newer, only_newer = two_checkpoints(session, store, kind, fill)
        harm(max(only_newer, key=lambda path: path.stat().st_size))
        session.files.upload(b"1", "after")
        die(server, session)
        recovery = session.refresh().last_recovery
        assert recovery.from_checkpoint_id == older
        assert newer in recovery.reason
        operations, variables, uploads = lost(recovery)
        assert (operations, sorted(variables), uploads) == (
            ["two"],
            ["big", "made", "n", "random"],
            ["after"],
        )
        assert outcomes(session, "one", "two") == ["COMMITTED", "LOST"]
        # The same bytes as those that were damaged.
        session.run(f"n = 3\n{fill}", operation_id="three")
        session.checkpoint(verify=True)
        wait_ready(client, "slim", 2)
        die(server, session)
        assert session.run("n, big == made()").value == "(3, True)"
        assert lost(session.refresh().last_recovery) == ([], [], [])


def test_a_session_that_sleeps_on_a_damaged_checkpoint_wakes_from_the_one_before(
    client: Client, store: Path
) -> None:
    """Whichever use wakes it: what came between is listed, the damaged one is named, the next sleep is whole."""
    with client.session(template="slim", checkpoint_policy="none") as session:
        session.run("n = 1", operation_id="one", report_changes=True)
        session.files.upload(b"1", "before")
        older = session.checkpoint().checkpoint_id
        before = files(store, "chunks")
        fill = new_fill()
        session.run(f"n = 2\n{fill}", operation_id="two", report_changes=True)
        session.files.upload(b"2", "after")
        slept_on = session.hibernate().latest_checkpoint_id
        damage(max(files(store, "chunks") - before, key=lambda path: path.stat().st_size))
        assert session.run("n, 'big' in globals()", operation_id="three").value == "(1, False)"
        recovery = session.refresh().last_recovery
        assert recovery.from_checkpoint_id == older
        assert slept_on in recovery.reason
        operations, variables, uploads = lost(recovery)
        assert (operations, sorted(variables), uploads) == (
            ["two"],
            ["big", "made", "n", "random"],
            ["after"],
        )
        assert outcomes(session, "one", "two", "three") == ["COMMITTED", "LOST", "COMMITTED"]
        session.run(fill)
        session.hibernate()
        assert session.run("n, big == made()").value == "(1, True)"
        assert session.refresh().last_recovery == recovery


def test_with_no_checkpoint_whole_the_session_is_crashed(
    server: ServerProcess, client: Client, store: Path
) -> None:
    """Never silently empty: all that it had is listed."""
    with client.session(template="slim", checkpoint_policy="none") as session:
        before = files(store, "manifests")
        two_checkpoints(session, store, "chunks", new_fill())
        for path in files(store, "manifests") - before:
            tear(path)
        kill_sandbox(server, session.refresh().sandbox_id)
        crashed = wait_crashed(session)
        operations, variables, _ = lost(crashed.last_recovery)
        assert (operations, sorted(variables)) == (["one", "two"], ["big", "made", "n", "random"])
        assert crashed.last_recovery.from_checkpoint_id == ""
        assert "damaged" in crashed.state_detail
        assert "lost" in crashed.state_detail


@pytest.mark.parametrize(("kind", "harm"), [("chunks", Path.unlink), ("manifests", tear)])
def test_what_is_damaged_is_no_base_for_the_next(client: Client, store: Path, kind: str, harm) -> None:
    """A checkpoint of a session that runs counts changes from the one before; where that is not whole, from nothing."""
    with client.session(template="slim", checkpoint_policy="none") as session:
        _, _, only_newer = two_checkpoints(session, store, kind, new_fill())
        for path in only_newer:
            harm(path)
        session.run("n = 3")
        assert session.checkpoint(verify=True).verified


def test_a_full_store_is_said_and_the_session_runs_on(
    server: ServerProcess, client: Client, store: Path
) -> None:
    """SYNCHRONOUS: not durable, said with the operation; once there is room it is, and nothing is lost."""
    with client.session(template="slim", checkpoint_policy="synchronous") as session:
        assert session.run("n = 1", operation_id="fits").operation.durable_checkpoint_id
        large = session.run("import os; n = 2; big = os.urandom(40 << 20)", operation_id="large").operation
        assert (large.state, large.outcome) == (Operation.STATE_SUCCEEDED, Operation.OUTCOME_COMMITTED)
        assert large.durable_checkpoint_id == ""
        assert [each.code for each in large.warnings] == ["CHECKPOINT_FAILED"]
        with connected(server.address) as api, refused("UNAVAILABLE", "STORE_UNAVAILABLE"):
            api.state.Checkpoint(state_pb2.CheckpointRequest(session_id=session.session_id))
        assert session.run("del big; n", operation_id="small").value == 2
        assert session.operation("large").durable_checkpoint_id
        die(server, session)
        assert session.run("n").value == 2
        assert lost(session.refresh().last_recovery) == ([], [], [])
