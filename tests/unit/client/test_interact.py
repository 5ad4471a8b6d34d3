"""Many operations on one stream: in order, each with its own events, over streams that break."""

import asyncio
import threading

import grpc
import pytest
from sandbank import AsyncClient, Client, ExecutionFailed, errors, reasons
from sandbank.events import EventsMissed, Finished, InputRequested, Output, Started
from sandbank.follow import Follower
from sandbank.interact import Entry, Exchange
from sandbank.v1 import execution_pb2 as ex

from tests.fakes.api_server import BreakAfter, FakeServer, HoldAfter, Refuse, events_of
from tests.unit.client.conftest import QUICK


@pytest.fixture(autouse=True)
def programs(server: FakeServer) -> None:
    """Code that has a value, that writes, that asks, and that fails."""
    for number in range(20):
        text = str(number).encode()
        server.programs[text.decode()] = events_of(
            b"out " + text, result={"text/plain": text, "application/json": text}
        )
    server.programs["ask()"] = events_of(
        ex.InputRequest(input_id="in-1", prompt="? "), result={"text/plain": b"asked"}
    )
    server.programs["fail()"] = events_of(
        state=ex.Operation.STATE_FAILED, error=ex.ExecutionError(type_name="ValueError")
    )


def executed(server: FakeServer) -> list[str]:
    """The codes that came on streams, repeated ones too."""
    return [r.execute.code for r in server.called("Interact") if r.HasField("execute")]


def test_operations_are_in_flight_together_and_answered_in_any_order(
    server: FakeServer, client: Client
) -> None:
    """Sent at once and in order; each has its own events, whoever reads them first."""
    with client.session().interact() as stream:
        sent = [stream.execute(str(number)) for number in range(10)]
        assert [sent[i].result().value for i in (9, 0, 5)] == [9, 0, 5]
        assert [type(event) for event in sent[3]] == [Started, Output, Finished]
        assert sent[3].result().stdout == "out 3"
    assert server.runs == [str(number) for number in range(10)]
    assert sent[7].result().value == 7  # read by the stream before it was closed


def test_threads_share_a_stream(server: FakeServer, client: Client) -> None:
    """Whoever waits reads for all; nobody gets what is another's."""
    values: dict[int, object] = {}
    with client.session().interact() as stream:

        def work(number: int) -> None:
            values[number] = stream.run(str(number)).value

        threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert values == {number: number for number in range(20)}


def test_a_refusal_is_the_exception_of_any_other_call(server: FakeServer, client: Client) -> None:
    """With reason, metadata and delay; the stream goes on, and the refused one is not sent again."""
    full = Refuse(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "OPERATION_QUEUE_FULL", {"limit": "64"}, retry_delay=1.5
    )
    server.sabotage["Interact.execute"].append(full)
    with client.session().interact() as stream:
        refused, ran = stream.execute("1"), stream.execute("2")
        assert ran.result().value == 2
        with pytest.raises(reasons.OperationQueueFull) as caught:
            refused.result()
        with pytest.raises(reasons.BadField):
            stream.run("unknown code")
        with pytest.raises(ExecutionFailed, match="ValueError"):
            stream.run("fail()")
    assert (caught.value.metadata, caught.value.retry_delay) == ({"limit": "64"}, 1.5)
    assert executed(server) == ["1", "2", "unknown code", "fail()"]


def test_input_and_cancellation_go_over_the_same_stream(server: FakeServer, client: Client) -> None:
    """By callback or by hand; an answer that comes too late is no error."""
    with client.session().interact() as stream:
        assert stream.run("ask()", input=lambda prompt, password: "x", operation_id="a").text == "asked"
        asking = stream.execute("ask()", allow_input=True, operation_id="b")
        for event in asking:
            if isinstance(event, InputRequested):
                asking.provide_input(event.input_id, None)
                asking.provide_input(event.input_id, "too late")
        stopped = stream.execute("ask()", allow_input=True, operation_id="c")
        next(iter(stopped))
        stopped.cancel()
        stopped.result()
        stopped.cancel()
        stopped.provide_input("in-1", "nobody asks")
    assert server.replies == {("a", "in-1"): "x", ("b", "in-1"): None}
    assert server.called("ProvideInput") == []
    assert [r.cancel.operation_id for r in server.called("Interact") if r.HasField("cancel")] == ["c"]


def test_a_refused_answer_ends_the_waiting(server: FakeServer, client: Client) -> None:
    """One that says more than that nobody waits for it."""
    server.sabotage["Interact.input"].append(Refuse(grpc.StatusCode.INVALID_ARGUMENT, "BAD_FIELD"))
    stream = client.session().interact()
    with pytest.raises(reasons.BadField):
        stream.run("ask()", input=lambda prompt, password: "x")
    stream.close()


@pytest.mark.parametrize("politely", [False, True])
@pytest.mark.parametrize("breaks", [[0], [1], [2, 4], [3, 0, 5], [8, 9, 9]])
def test_a_broken_stream_is_opened_again_and_nothing_is_lost_or_run_twice(
    server: FakeServer, client: Client, breaks: list[int], politely: bool
) -> None:
    """What was not over is said again in its order; events that were delivered do not come again."""
    server.sabotage["Interact"].extend(BreakAfter(count, politely) for count in breaks)
    with client.session().interact() as stream:
        sent = [stream.execute(str(number)) for number in range(5)]
        for number, execution in enumerate(sent):
            events = list(execution)
            assert [event.sequence for event in events] == [1, 2, 3]
            assert execution.result().value == number
    assert server.runs == [str(number) for number in range(5)]


def test_answers_and_cancels_are_said_again_too(server: FakeServer, client: Client) -> None:
    """On the next stream, behind their operation; an answer that had arrived is refused there, which is no matter."""
    server.sabotage["Interact"].append(BreakAfter(2))
    with client.session().interact() as stream:
        asking = stream.execute("ask()", allow_input=True)
        for event in asking:
            if isinstance(event, InputRequested):
                asking.provide_input(event.input_id, "x")
                asking.cancel()
        assert asking.result().text == "asked"
    assert (len(server.runs), list(server.replies.values())) == (1, ["x"])


def test_events_that_the_server_dropped_meanwhile_are_followed_on_their_own(
    server: FakeServer, client: Client
) -> None:
    """Said again, the operation is refused with EVENTS_EVICTED: WatchOperation has the rest."""
    server.sabotage["Interact"].append(BreakAfter(1))
    session = client.session()
    evicted = Refuse(grpc.StatusCode.OUT_OF_RANGE, "EVENTS_EVICTED", {"first_sequence": "3"})
    with session.interact() as stream:
        execution = stream.execute("1")
        assert next(iter(execution)).sequence == 1
        server.sabotage["Interact.execute"].append(evicted)
        events = list(execution)
    assert [type(event) for event in events] == [EventsMissed, Finished]
    assert not execution.result().complete


def test_an_error_of_the_stream_ends_what_was_on_it(server: FakeServer, client: Client) -> None:
    """All of it, with the same error; a later operation opens a stream again."""
    session = client.session()
    gone = Refuse(grpc.StatusCode.FAILED_PRECONDITION, "SESSION_TERMINATED")
    server.sabotage["Interact"].append(gone)
    with session.interact() as stream:
        first, second = stream.execute("1"), stream.execute("2")
        with pytest.raises(reasons.SessionTerminated):
            second.result()
        with pytest.raises(reasons.SessionTerminated):
            first.result()
        assert stream.run("3").value == 3


def test_a_stream_that_stays_broken_fails_within_the_budget(server: FakeServer, client: Client) -> None:
    """It is not tried for ever."""
    server.sabotage["Interact"].append(HoldAfter(0))
    stream = client.session().interact()
    execution = stream.execute("1")
    server.stop()
    with pytest.raises(errors.Unavailable):
        execution.result()
    stream.close()


def test_after_closing_results_can_still_be_had(server: FakeServer, client: Client) -> None:
    """Leaving a stream stops nothing: what is left is followed on its own, and nothing more can be sent."""
    server.sabotage["Interact"].append(HoldAfter(1))
    stream = client.session().interact()
    execution = stream.execute("1")
    assert next(iter(execution)).sequence == 1
    stream.close()
    stream.close()
    assert execution.result().value == 1
    execution.cancel()
    assert [r.operation_id for r in server.called("CancelOperation")] == [execution.operation_id]
    assert [r.after_sequence for r in server.called("WatchOperation")] == [1]
    with pytest.raises(ValueError, match="closed"):
        stream.execute("2")


def test_a_block_waits_for_its_operations_unless_it_raises(server: FakeServer, client: Client) -> None:
    """As an executor does; who raises does not care for them any more."""
    session = client.session()
    with session.interact() as stream:
        for number in range(5):
            stream.execute(str(number))
    assert len(server.runs) == 5
    server.sabotage["Interact"].append(HoldAfter(0))
    with pytest.raises(KeyError), session.interact() as stream:
        raise KeyError(stream.execute("6").operation_id)


async def test_async_tasks_share_a_stream(server: FakeServer, async_client: AsyncClient) -> None:
    """In order, each with its own events; questions and refusals as in the sync client."""
    async with async_client.session() as session, session.interact() as stream:
        results = await asyncio.gather(*(stream.run(str(number)) for number in range(20)))
        assert [result.value for result in results] == list(range(20))
        assert (await stream.run("ask()", input=lambda prompt, password: "x")).text == "asked"
        with pytest.raises(reasons.BadField):
            await stream.run("unknown code")
        stream.execute("7")
    assert server.runs[-1] == "7"


@pytest.mark.parametrize("breaks", [[0], [1], [2, 4], [3, 0, 5]])
async def test_a_broken_async_stream_is_opened_again(
    server: FakeServer, async_client: AsyncClient, breaks: list[int]
) -> None:
    """The same decisions drive it."""
    server.sabotage["Interact"].extend(BreakAfter(count) for count in breaks)
    async with async_client.session() as session, session.interact() as stream:
        sent = [stream.execute(str(number)) for number in range(5)]
        for execution in sent:
            assert [event.sequence async for event in execution] == [1, 2, 3]
    assert server.runs == [str(number) for number in range(5)]


async def test_who_stops_waiting_takes_nothing_from_the_others(
    server: FakeServer, async_client: AsyncClient
) -> None:
    """A task that is cancelled while it reads for all leaves the stream as it is."""
    server.sabotage["Interact"].append(HoldAfter(3))
    async with async_client.session() as session, session.interact() as stream:
        first, second = stream.execute("1"), stream.execute("2")
        await first.result()
        waiting = asyncio.create_task(second.result())
        other = asyncio.create_task(stream.run("3"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        server.cancelled.set()
        assert (await other).value == 3
    assert executed(server) == ["1", "2", "3"]


async def test_an_async_stream_that_is_closed_leaves_its_operations_to_be_followed(
    server: FakeServer, async_client: AsyncClient
) -> None:
    """Also while somebody waits on it."""
    server.sabotage["Interact"].append(HoldAfter(1))
    async with async_client.session() as session:
        stream = session.interact()
        execution = stream.execute("1")
        assert (await anext(aiter(execution))).sequence == 1
        waiting = asyncio.create_task(execution.result())
        await asyncio.sleep(0)
        await stream.close()
        assert (await waiting).value == 1


def send(exchange: Exchange, name: str) -> Entry:
    """Send an operation of this name."""
    request = ex.ExecuteRequest(session_id="s", operation_id=name)
    follower = Follower("s", name, QUICK, lambda: 0.0, execute=request)
    return exchange.execute(follower, request)


def test_refusals_are_matched_by_the_number_of_their_request() -> None:
    """Counted anew on each stream, over all kinds of requests; one that fits nothing is passed over."""
    exchange = Exchange("s", QUICK, lambda: 0.0)

    def refuse(index: int) -> None:
        exchange.received(ex.OperationEvent(rejected=ex.Rejected(code=9, request_index=index)))

    for name in ("a", "b", "c"):
        send(exchange, name)
    assert len(exchange.take()) == 3
    refuse(2)
    refuse(2)
    refuse(99)
    assert [entry.follower.operation_id for entry in exchange.unfinished] == ["a", "c"]
    exchange.failed(None)
    assert [request.execute.operation_id for request in exchange.take()] == ["a", "c"]
    refuse(2)
    (left,) = exchange.unfinished
    assert left.follower.operation_id == "a"
    with pytest.raises(ValueError, match="already"):
        send(exchange, "a")


def test_what_is_said_again_keeps_its_order() -> None:
    """Each operation with its answers and its cancel behind it; of what is over nothing."""
    exchange = Exchange("s", QUICK, lambda: 0.0)
    first, second = send(exchange, "a"), send(exchange, "b")
    exchange.provide_input(second, ex.ProvideInputRequest(input_id="in-1", text="x"))
    exchange.cancel(first)
    done = ex.OperationEvent(operation_id="b", sequence=1, finished=ex.Finished(operation=ex.Operation()))
    assert [request.WhichOneof("request") for request in exchange.take()] == [
        "execute",
        "execute",
        "input",
        "cancel",
    ]
    exchange.failed(None)
    assert [request.WhichOneof("request") for request in exchange.take()] == [
        "execute",
        "cancel",
        "execute",
        "input",
    ]
    exchange.received(done)
    exchange.received(done)
    exchange.failed(None)
    assert [request.WhichOneof("request") for request in exchange.take()] == ["execute", "cancel"]
    assert len(second.events) == 1
