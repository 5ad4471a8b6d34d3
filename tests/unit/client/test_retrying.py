"""What is tried again, and what is not."""

import time

import grpc
import pytest
from sandbank import AsyncClient, Client, RetryPolicy, errors, reasons
from sandbank.retrying import may_repeat
from sandbank.rpc import Repeat

from tests.fakes.api_server import FakeServer, Refuse, events_of
from tests.unit.client.conftest import QUICK

LOST = Refuse(grpc.StatusCode.UNAVAILABLE)
FULL = Refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "POOL_QUEUE_FULL", retry_delay=0.01)


@pytest.mark.parametrize(
    ("error", "always", "when_refused"),
    [
        (errors.Unavailable("connection lost"), True, False),
        (reasons.Draining("", retry_delay=0.1), True, True),
        (reasons.PoolDegraded(""), False, False),
        (reasons.PoolQueueFull("", retry_delay=0.1), True, True),
        (reasons.WorkspaceFull(""), False, False),
        (errors.ResourceExhausted("message larger than max"), False, False),
        (reasons.SandboxLost(""), False, False),
        (errors.DeadlineExceeded(""), False, False),
        (errors.Internal(""), False, False),
        (reasons.SessionNotFound(""), False, False),
        (ValueError(""), False, False),
    ],
)
def test_only_what_is_safe_and_helps_is_repeated(
    error: BaseException, always: bool, when_refused: bool
) -> None:
    """A lost connection only for calls that may be done twice; a refusal only where the server says when."""
    assert may_repeat(error, Repeat.ALWAYS) is always
    assert may_repeat(error, Repeat.WHEN_REFUSED) is when_refused


def test_the_servers_delay_is_obeyed_and_spread() -> None:
    """Never sooner than RetryInfo says, and not all at the same moment."""
    error = reasons.PoolQueueFull("", retry_delay=2.0)
    delays = [RetryPolicy(jitter=lambda r=r: r).delay(error, 1) for r in (0.0, 0.5, 1.0)]
    assert delays == pytest.approx([2.0, 2.1, 2.2])


def test_delays_without_a_wish_grow_and_are_bounded() -> None:
    """Twice as long each time, up to the longest."""
    policy = RetryPolicy(first_delay=0.1, longest_delay=1.0, jitter=lambda: 1.0)
    assert [policy.delay(None, n) for n in (1, 2, 3, 4, 5, 1000)] == pytest.approx(
        [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    )


def test_creating_again_after_a_lost_connection_makes_one_session(server: FakeServer, client: Client) -> None:
    """Every try has the request_id that was made before the first."""
    server.sabotage["CreateSession"].extend([LOST, FULL, LOST])
    client.session()
    ids = {request.request_id for request in server.called("CreateSession")}
    assert len(server.called("CreateSession")) == 4
    assert len(ids) == 1
    assert ids != {""}
    assert len(server.sessions) == 1


def test_running_again_after_a_lost_connection_runs_once(server: FakeServer, client: Client) -> None:
    """Every try has the operation_id that was made before the first."""
    server.sabotage["Run"].extend([LOST, LOST])
    assert client.session().run("1+1").value == 2
    assert len({request.execute.operation_id for request in server.called("Run")}) == 1
    assert server.runs == ["1+1"]


async def test_the_async_client_repeats_alike(server: FakeServer, async_client: AsyncClient) -> None:
    """The same decisions, waiting without blocking the loop."""
    server.sabotage["CreateSession"].extend([LOST, FULL])
    server.sabotage["Run"].append(LOST)
    async with async_client.session() as session:
        assert (await session.run("1+1")).value == 2
    assert len(server.called("CreateSession")) == 3
    assert server.runs == ["1+1"]


@pytest.mark.parametrize("name", ["ResetSession", "UpdateSession"])
def test_what_may_not_be_done_twice_is_not_repeated_after_a_lost_connection(
    server: FakeServer, client: Client, name: str
) -> None:
    """A second reset could end somebody's next operation; a second extension would extend twice."""
    session = client.session()
    server.sabotage[name].append(LOST)
    with pytest.raises(errors.Unavailable):
        session.reset() if name == "ResetSession" else session.update(extend_lifetime=60)
    assert len(server.called(name)) == 1


def test_a_refused_reset_is_repeated(server: FakeServer, client: Client) -> None:
    """A refusal with RetryInfo recorded nothing."""
    session = client.session()
    server.sabotage["ResetSession"].append(FULL)
    session.reset()
    assert len(server.called("ResetSession")) == 2


def test_the_budget_bounds_all_tries_together(server: FakeServer) -> None:
    """A pause that would end beyond the budget is not begun; the last error is raised."""
    server.sabotage["GetServerInfo"].extend(
        [Refuse(grpc.StatusCode.UNAVAILABLE, "DRAINING", retry_delay=60)] * 9
    )
    began = time.monotonic()
    with Client(server.address, retry=QUICK) as client, pytest.raises(reasons.Draining):
        client.info()
    assert time.monotonic() - began < 2
    assert len(server.called("GetServerInfo")) == 1


def test_a_budget_of_zero_means_one_try(server: FakeServer) -> None:
    """Whoever retries by himself can switch it off."""
    server.sabotage["GetServerInfo"].append(LOST)
    with Client(server.address, retry=RetryPolicy(budget=0)) as client, pytest.raises(errors.Unavailable):
        client.info()
    assert len(server.called("GetServerInfo")) == 1


def test_a_server_that_comes_back_is_reached_again(server: FakeServer) -> None:
    """The channel does not wait minutes after a restart."""
    with Client(server.address, retry=RetryPolicy(budget=10.0)) as client:
        assert client.info().version == "0.1.0"
        server.stop()
        second = FakeServer(port=server.port)
        try:
            assert client.info().version == "0.1.0"
        finally:
            second.stop()


def test_failing_code_is_never_repeated(server: FakeServer, client: Client) -> None:
    """That the code raised is an answer, not a failed call."""
    from sandbank.v1 import execution_pb2 as ex

    server.programs["1/0"] = events_of(
        state=ex.Operation.STATE_FAILED, error=ex.ExecutionError(type_name="E")
    )
    assert client.session().run("1/0", check=False).state == "FAILED"
    assert server.runs == ["1/0"]
