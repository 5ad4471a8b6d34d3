"""An operation followed over connections that break: no event lost, none twice."""

import grpc
import pytest
from sandbank import AsyncClient, Client, errors, reasons
from sandbank.errors import BadAnswer
from sandbank.events import Display, EventsMissed, Finished, Output, Started
from sandbank.follow import Follower, OpenStream, ReadOperation
from sandbank.v1 import execution_pb2 as ex

from tests.fakes.api_server import BreakAfter, FakeServer, Refuse, events_of
from tests.unit.client.conftest import QUICK

CHATTY = "for i in range(9): print(i)"
LINES = [f"{i}\n".encode() for i in range(9)]


@pytest.fixture
def chatty(server: FakeServer) -> str:
    """Code that writes nine lines: eleven events."""
    server.programs[CHATTY] = events_of(*LINES)
    return CHATTY


@pytest.mark.parametrize("politely", [False, True])
@pytest.mark.parametrize("breaks", [[0], [1], [5], [10], [3, 0, 2], [0, 0, 1]])
def test_a_broken_stream_goes_on_after_the_last_event_seen(
    server: FakeServer, client: Client, chatty: str, breaks: list[int], politely: bool
) -> None:
    """Wherever it breaks, and however: each event once, in order, and the code runs once."""
    acts = [BreakAfter(count, politely) for count in breaks]
    begun = next((i for i, count in enumerate(breaks) if count), len(breaks))
    server.sabotage["Execute"].extend(acts[: begun + 1])
    server.sabotage["WatchOperation"].extend(acts[begun + 1 :])
    events = list(client.session().stream(chatty))
    assert [type(e) for e in events] == [Started, *[Output] * 9, Finished]
    assert [e.sequence for e in events] == list(range(1, 12))
    assert [e.data for e in events if isinstance(e, Output)] == LINES
    assert server.runs == [chatty]


async def test_the_async_client_goes_on_alike(
    server: FakeServer, async_client: AsyncClient, chatty: str
) -> None:
    """The same decisions drive it."""
    server.sabotage["Execute"].append(BreakAfter(4))
    server.sabotage["WatchOperation"].extend([Refuse(grpc.StatusCode.UNAVAILABLE), BreakAfter(2)])
    async with async_client.session() as session:
        sequences = [e.sequence async for e in session.stream(chatty)]
    assert sequences == list(range(1, 12))
    assert [r.after_sequence for r in server.called("WatchOperation")] == [4, 4, 6]


def test_code_is_sent_again_only_until_its_first_event(
    server: FakeServer, client: Client, chatty: str
) -> None:
    """After an event the operation is recorded, and only watching is needed."""
    server.sabotage["Execute"].extend([Refuse(grpc.StatusCode.UNAVAILABLE), BreakAfter(1)])
    client.session().execute(chatty).result()
    assert len(server.called("Execute")) == 2
    assert len({r.operation_id for r in server.called("Execute")}) == 1
    assert [r.after_sequence for r in server.called("WatchOperation")] == [1]


def test_progress_renews_the_budget() -> None:
    """A long operation may break any number of times, as long as each connection brings an event."""
    now = 0.0
    follower = Follower("s", "o", QUICK, lambda: now, execute=ex.ExecuteRequest())
    for sequence in range(1, 100):
        follower.received(ex.OperationEvent(sequence=sequence, started=ex.Started()))
        follower.failed(errors.Unavailable("lost"))
        now += 2.9
    follower.failed(errors.Unavailable("lost"))
    now += 3.0
    with pytest.raises(errors.Unavailable):
        follower.failed(errors.Unavailable("lost"))


def test_evicted_events_are_passed_over_where_the_server_says_how_far(
    server: FakeServer, client: Client, chatty: str
) -> None:
    """`first_sequence` in the error's metadata says where the journal begins; the gap is told."""
    server.sabotage["Execute"].append(BreakAfter(3))
    evicted = Refuse(grpc.StatusCode.OUT_OF_RANGE, "EVENTS_EVICTED", {"first_sequence": "8"})
    server.sabotage["WatchOperation"].append(evicted)
    execution = client.session().execute(chatty)
    events = list(execution)
    assert EventsMissed(3) in events
    assert [e.sequence for e in events if not isinstance(e, EventsMissed)] == [1, 2, 3, 8, 9, 10, 11]
    assert execution.result().complete is False


@pytest.mark.parametrize("metadata", [{}, {"first_sequence": "x"}, {"first_sequence": "2"}])
def test_evicted_events_fall_back_to_the_operation_itself(
    server: FakeServer, client: Client, chatty: str, metadata: dict[str, str]
) -> None:
    """Without a usable `first_sequence`, GetOperation says how it ended."""
    server.sabotage["Execute"].append(BreakAfter(3))
    server.sabotage["WatchOperation"].append(Refuse(grpc.StatusCode.OUT_OF_RANGE, "EVENTS_EVICTED", metadata))
    result = client.session().execute(chatty).result()
    assert (result.ok, result.complete, result.stdout) == (True, False, "0\n1\n")
    assert len(server.called("GetOperation")) == 1


def test_an_unfinished_operation_without_events_is_looked_at_again() -> None:
    """Until it has finished, at intervals and not in a busy loop."""
    follower = Follower("s", "o", QUICK, lambda: 0.0)
    assert follower.failed(reasons.EventsEvicted("")) == [EventsMissed(0)]
    assert follower.read(ex.Operation(state=ex.Operation.STATE_RUNNING)) == []
    step = follower.next_step()
    assert isinstance(step, ReadOperation)
    assert step.delay > 0
    assert isinstance(follower.read(ex.Operation(state=ex.Operation.STATE_CRASHED))[0], Finished)
    assert follower.next_step() is None


def test_a_gap_in_the_sequence_is_an_error() -> None:
    """A server that loses events is not believed."""
    follower = Follower("s", "o", QUICK, lambda: 0.0)
    follower.received(ex.OperationEvent(sequence=1, started=ex.Started()))
    with pytest.raises(BadAnswer):
        follower.received(ex.OperationEvent(sequence=3, started=ex.Started()))


def test_a_repeat_whose_events_are_gone_still_ends() -> None:
    """The server answers with Finished alone; the gap is told."""
    follower = Follower("s", "o", QUICK, lambda: 0.0, execute=ex.ExecuteRequest())
    events = follower.received(ex.OperationEvent(sequence=40, finished=ex.Finished(operation=ex.Operation())))
    assert [type(event) for event in events] == [EventsMissed, Finished]
    assert follower.next_step() is None


def test_an_event_of_another_operation_is_an_error() -> None:
    """Nobody's output is taken for somebody else's."""
    follower = Follower("s", "o", QUICK, lambda: 0.0)
    with pytest.raises(BadAnswer):
        follower.received(ex.OperationEvent(operation_id="p", sequence=1, started=ex.Started()))


def test_an_event_of_an_unknown_kind_is_counted_and_passed_over() -> None:
    """A newer server may send more kinds."""
    follower = Follower("s", "o", QUICK, lambda: 0.0)
    assert follower.received(ex.OperationEvent(sequence=1)) == []
    step = follower.next_step()
    assert isinstance(step, OpenStream)
    assert step.request.after_sequence == 1


def test_an_operations_fate_that_is_unknown_is_not_guessed(server: FakeServer, client: Client) -> None:
    """ABORTED is raised: the caller asks GetOperation."""
    server.sabotage["Execute"].append(Refuse(grpc.StatusCode.ABORTED, "SANDBOX_LOST"))
    with pytest.raises(reasons.SandboxLost):
        client.session().execute("1+1").result()
    assert len(server.called("Execute")) == 1


def test_callbacks_get_whole_characters_in_order(server: FakeServer, client: Client) -> None:
    """A character split over two chunks arrives once, whole; a broken one is replaced."""
    euro = "€".encode()
    stderr = ex.Output(stream=ex.OUTPUT_STREAM_STDERR, data=b"oops")
    shown = ex.Display(data={"text/plain": b"<table>"})
    server.programs["x"] = events_of(euro[:1], stderr, euro[1:], shown, b"\xff", b"\xe2")
    told: list[object] = []
    result = client.session().run(
        "x",
        on_stdout=told.append,
        on_stderr=lambda text: told.append(("err", text)),
        on_display=lambda display: told.append(display.text),
    )
    assert told == [("err", "oops"), "€", "<table>", "\ufffd", "\ufffd"]
    assert result.stdout_bytes == euro + b"\xff\xe2"
    assert result.stderr == "oops"


def test_a_later_watcher_sees_what_follows(server: FakeServer, client: Client, chatty: str) -> None:
    """`watch` begins after any event."""
    session = client.session()
    done = session.run(chatty, operation_id="mine")
    assert done.operation.operation_id == "mine"
    assert [e.sequence for e in session.watch("mine", after_sequence=9)] == [10, 11]
    assert session.watch("mine").result().stdout == "".join(f"{i}\n" for i in range(9))


def test_leaving_the_loop_early_keeps_what_can_be_had(
    server: FakeServer, client: Client, chatty: str
) -> None:
    """The operation goes on; its end can still be read."""
    execution = client.session().execute(chatty)
    for event in execution:
        if isinstance(event, Output):
            break
    execution.close()
    result = execution.result()
    assert (result.ok, result.complete) == (True, False)


def test_updates_replace_what_they_update(server: FakeServer, client: Client) -> None:
    """A display with `update` takes the place of the earlier one, by whichever call it came."""
    first = ex.Display(data={"text/plain": b"1 %"}, display_id="bar")
    other = ex.Display(data={"text/plain": b"other"})
    second = ex.Display(data={"text/plain": b"100 %"}, display_id="bar", update=True)
    server.programs["bar()"] = events_of(first, other, second)
    session = client.session()
    for result in (session.run("bar()"), session.execute("bar()").result()):
        assert [display.text for display in result.displays] == ["100 %", "other"]
        assert all(isinstance(display, Display) for display in result.displays)
