"""Sessions that do not say when they are saved: after changes, unless the server's configuration says otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sandbank import Client, Session

from tests.conftest import RUNTIMES
from tests.recoveries import die, lost, outcomes, wait_crashed, wait_state
from tests.sandboxes import kill_sandbox, wait_ready
from tests.server_process import ServerProcess, serving


@pytest.fixture(scope="module", params=RUNTIMES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A control plane as it comes."""
    process = ServerProcess(
        request.param, tmp_path_factory.mktemp("server"), ("--min-ready", "slim=2,data=0")
    )
    with serving(process):
        yield process


def saved(session: Session, operation_id: str) -> bool:
    """Tell whether a checkpoint has the effects of an operation."""
    return bool(session.operation(operation_id).durable_checkpoint_id)


def wait_saved(session: Session, operation_id: str) -> None:
    """Wait until one has; each checkpoint is told to who watches the session."""
    wait_state(session, lambda _now: saved(session, operation_id))


def test_a_session_that_names_no_policy_survives_its_sandbox(server: ServerProcess) -> None:
    """Nothing was asked for: its variables and files are there with the next result, and nothing is lost."""
    with Client(server.address) as client, client.session(template="slim") as session:
        session.run("class K: pass\nk = K(); k.me = k; n = [1]", operation_id="one")
        session.files.upload(b"1", "file")
        session.run("n.append(2)", operation_id="two")
        wait_saved(session, "two")
        wait_ready(client, "slim", 1)
        die(server, session)
        result = session.run("n, k.me is k, type(k) is K, open('file').read()")
        assert result.value == "([1, 2], True, True, '1')"
        assert session.refresh().generation == 2
        assert lost(session.refresh().last_recovery) == ([], [], [])


def test_what_comes_after_the_last_checkpoint_is_listed(server: ServerProcess) -> None:
    """What was saved by then is there after a death; exactly the rest is lost."""
    with Client(server.address) as client, client.session(template="slim") as session:
        session.run("n = 0", operation_id="first")
        wait_saved(session, "first")
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


def test_a_session_that_is_never_still_is_saved(server: ServerProcess) -> None:
    """Operations that are always queued: the state between two of them is saved while they go on."""
    with Client(server.address) as client, client.session(template="slim") as session:
        running, number = [], 0
        while number < 9 or not saved(session, "op-1"):
            number += 1
            running.append(session.execute("n = globals().get('n', 0) + 1", operation_id=f"op-{number}"))
            if number > 8:
                running[number - 9].result()
        for each in running:
            each.result()
        assert session.run("n").value == number


def test_who_wants_none_says_so(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    """For a session, or for all: nothing is saved unasked, and a death costs everything."""
    with (
        Client(server.address) as client,
        client.session(template="slim", checkpoint_policy="none") as session,
    ):
        check_unsaved(server, session)
    other = ServerProcess(
        "local",
        tmp_path_factory.mktemp("other"),
        ("--min-ready", "slim=1,data=0"),
        {"SANDBANK_CHECKPOINTS__DEFAULT_POLICY": "none"},
    )
    with serving(other), Client(other.address) as client, client.session(template="slim") as session:
        check_unsaved(other, session)


def check_unsaved(server: ServerProcess, session: Session) -> None:
    """Have a session die after a change."""
    session.run("n = 0", operation_id="one")
    kill_sandbox(server, session.refresh().sandbox_id)
    assert lost(wait_crashed(session).last_recovery)[0] == ["one"]
    assert list(session.checkpoints()) == []
