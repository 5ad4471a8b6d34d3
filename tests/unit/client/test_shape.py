"""Sync and async have the same shape; messages can be had without grpc; addresses and tokens are minded."""

import inspect
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sandbank import AsyncClient, AsyncSession, Client, Connection, Session, requests
from sandbank.aio.execution import AsyncExecution
from sandbank.aio.files import AsyncFiles
from sandbank.aio.interaction import AsyncInteraction, AsyncStreamedExecution
from sandbank.aio.transaction import AsyncTransaction
from sandbank.sync.execution import Execution
from sandbank.sync.files import Files
from sandbank.sync.interaction import Interaction, StreamedExecution
from sandbank.sync.transaction import Transaction
from sandbank.v1 import execution_pb2 as ex

from tests.fakes.api_server import FakeServer


@pytest.mark.parametrize(
    ("sync", "aio"),
    [
        (Client, AsyncClient),
        (Session, AsyncSession),
        (Transaction, AsyncTransaction),
        (Interaction, AsyncInteraction),
        (StreamedExecution, AsyncStreamedExecution),
        (Execution, AsyncExecution),
        (Files, AsyncFiles),
    ],
)
def test_sync_and_async_have_the_same_methods_with_the_same_parameters(sync: type, aio: type) -> None:
    """What is learned for one holds for the other."""

    def shape(cls: type) -> dict[str, list[str]]:
        members = inspect.getmembers(cls, callable)
        return {
            name: [str(p).partition(" ->")[0] for p in inspect.signature(member).parameters.values()]
            for name, member in members
            if not name.startswith("_")
        }

    assert shape(sync) == shape(aio)


def test_messages_are_had_without_grpc() -> None:
    """The supervisor imports the messages into a process that must stay without threads."""
    code = (
        "import sys, sandbank; from sandbank.v1 import execution_pb2; "
        "sys.exit(any(m == 'grpc' or m.startswith(('grpc.', 'rich', 'tenacity')) for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_address_comes_from_the_environment_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """SANDBANK_ADDRESS, else this machine's default port."""
    monkeypatch.setenv("SANDBANK_ADDRESS", "10.0.0.7:9")
    assert Connection().address == "10.0.0.7:9"
    assert Connection("h:1").address == "h:1"
    monkeypatch.delenv("SANDBANK_ADDRESS")
    assert Connection().address == "127.0.0.1:50051"


@pytest.mark.parametrize(
    "address", ["10.0.0.7:9", "example.org:443", "[2001:db8::1]:9", "localhost.evil.org:1"]
)
def test_a_token_never_travels_in_the_clear_unasked(address: str) -> None:
    """Only over TLS, to this machine, or where the caller says so."""
    with pytest.raises(ValueError, match="in the clear"):
        Connection(address, token="secret")
    Connection(address, token="secret", tls=True)
    Connection(address, token="secret", allow_plaintext_token=True)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "localhost:1", "[::1]:1", "unix:/run/x.sock", "dns:///localhost:1"]
)
def test_a_token_may_go_to_this_machine(address: str, server: FakeServer) -> None:
    """Loopback and Unix sockets cannot be overheard; the token is shown nowhere."""
    assert "secret" not in repr(Connection(address, token="secret"))
    with Client(server.address, token="secret") as client:
        client.info()
    assert server.metadata[-1]["authorization"] == "Bearer secret"


def test_options_become_the_request() -> None:
    """Seconds and timedeltas, names and numbers; what is left out stays unset."""
    request = requests.execute("s", "x", {"timeout": 1.5, "tx_policy": "commit_on_success", "isolation": 2})
    assert (request.timeout.seconds, request.timeout.nanos) == (1, 500_000_000)
    assert (request.tx_policy, request.isolation) == (2, 2)
    assert request.operation_id.startswith("op-")
    assert not request.HasField("report_changes")
    assert requests.execute("s", "x", {"report_changes": False}).HasField("report_changes")
    assert requests.execute("s", "x", {"timeout": timedelta(minutes=1)}).timeout.seconds == 60
    created = requests.create_session({"idle_timeout": 5, "idle_action": "terminate", "env": {"A": "b"}})
    assert (created.idle_timeout.seconds, created.idle_action) == (5, 2)
    assert dict(created.env) == {"A": "b"}


def test_a_wrong_name_of_a_policy_says_which_there_are() -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match="none, commit_on_success, rollback_on_failure, explicit"):
        requests.execute("s", "x", {"tx_policy": "maybe"})


def test_text_that_cannot_be_sent_is_a_clear_error() -> None:
    """A lone surrogate has no UTF-8."""
    with pytest.raises(ValueError, match="not valid text"):
        requests.execute("s", "print('\udc80')", {})


def test_sessions_are_deleted_at_the_end_of_their_block_and_attached_ones_are_not(
    server: FakeServer, client: Client
) -> None:
    """What was created here ends here, also after an error; deleting twice is no error."""
    with client.session(labels={"a": "b"}) as session:
        with client.attach(session.session_id) as same:
            assert same.run("1+1").value == 2
        assert session.session_id in server.sessions
    assert server.sessions == {}
    session.delete()
    with pytest.raises(KeyError), client.session():
        raise KeyError
    assert server.sessions == {}


async def test_an_async_session_is_awaited_or_entered(server: FakeServer, async_client: AsyncClient) -> None:
    """Both forms, as the sync client has both."""
    session = await async_client.session()
    async with async_client.attach(session.session_id) as same:
        assert (await same.run("1+1")).value == 2
    assert list(server.sessions) == [session.session_id]
    async with async_client.session():
        assert len(server.sessions) == 2
    assert list(server.sessions) == [session.session_id]


def test_pages_are_fetched_until_there_are_no_more(server: FakeServer, client: Client) -> None:
    """A listing is complete, whatever the page size."""
    made = [client.session().session_id for _ in range(5)]
    assert [session.session_id for session in client.sessions()] == made
    assert len(server.called("ListSessions")) == 3
    assert [session.session_id for session in client.sessions(page_size=5, states=["active", 2])] == made


async def test_async_pages_are_fetched_alike(server: FakeServer, async_client: AsyncClient) -> None:
    """As an async iterator."""
    made = [(await async_client.session()).session_id for _ in range(3)]
    assert [session.session_id async for session in async_client.sessions()] == made


def test_a_message_over_the_limit_is_an_error_and_not_retried(server: FakeServer) -> None:
    """The client's own bound holds in both directions."""
    server.programs["big"] = [
        ex.OperationEvent(started=ex.Started()),
        ex.OperationEvent(output=ex.Output(data=b"x" * 20_000)),
        ex.OperationEvent(finished=ex.Finished(operation=ex.Operation(state=4))),
    ]
    from sandbank.errors import ResourceExhausted

    with Client(server.address, max_message_bytes=10_000) as client:
        session = client.session()
        with pytest.raises(ResourceExhausted):
            session.run("big")
        with pytest.raises(ResourceExhausted):
            session.run("#" * 20_000)
    assert len(server.called("Run")) == 1


def test_generated_code_is_never_reformatted_by_hand() -> None:
    """`scripts/protos --check` holds: the code is what protos/ makes."""
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, root / "scripts" / "protos", "--check"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_command_line_chooses_how_grpc_waits_before_grpc_is_imported() -> None:
    """It reads that once; a name that it no longer knows, it complains of, and then this is to be measured anew."""
    code = """
import os, sys

class Watch:
    def find_spec(self, name, *_):
        if name == "grpc":
            print(os.environ.get("GRPC_EXPERIMENTS"))

sys.meta_path.insert(0, Watch())
from sandbank.cli import main
sys.argv = ["sandbank", "info", "--address", "127.0.0.1:1"]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={name: value for name, value in os.environ.items() if name != "GRPC_EXPERIMENTS"},
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout.splitlines()[0] == "-event_engine_listener,-event_engine_client"
    assert "experiment" not in done.stderr
