"""Sessions that do not say when they are saved, where the server says: after changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sandbank import Client

from tests.conftest import RUNTIMES
from tests.recoveries import die, lost, outcomes, wait_state
from tests.sandboxes import wait_ready
from tests.server_process import ServerProcess, serving


@pytest.fixture(params=RUNTIMES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A control plane whose default is AFTER_CHANGE."""
    process = ServerProcess(
        request.param,
        tmp_path_factory.mktemp("server"),
        ("--min-ready", "slim=2,data=0"),
        {"SANDBANK_CHECKPOINTS__DEFAULT_POLICY": "after_change"},
    )
    with serving(process):
        yield process


def test_sessions_are_saved_in_the_background_and_go_on(server: ServerProcess) -> None:
    """What was saved by then is there after a death; exactly the rest is listed."""
    with Client(server.address) as client, client.session(template="slim") as session:
        session.run("n = 0", operation_id="first")
        wait_state(session, lambda now: bool(now.latest_checkpoint_id))
        for number in range(1, 20):
            session.run(f"n = {number}", operation_id=f"op-{number}", report_changes=True)
        wait_ready(client, "slim", 1)
        die(server, session)
        names = [f"op-{number}" for number in range(1, 20)]
        found = [each.preview for each in session.variables("n")]
        kept = int(found[0])
        assert outcomes(session, *names) == ["COMMITTED"] * kept + ["LOST"] * (19 - kept)
        operations, variables, _ = lost(session.refresh().last_recovery)
        assert (operations, variables) == (names[kept:], ["n"] if kept < 19 else [])
    with (
        Client(server.address) as client,
        client.session(template="slim", checkpoint_policy="none") as session,
    ):
        session.run("n = 0")
        assert session.refresh().latest_checkpoint_id == ""
