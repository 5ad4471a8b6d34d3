"""Interact: many operations of a session on one stream, on each runtime."""

from __future__ import annotations

import os
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from sandbank import Client, Session
from sandbank.v1 import execution_pb2 as ex
from sandbank.v1 import session_pb2

from tests.interact_stream import Stream, interacting
from tests.raw_api import Api, refusal, refused
from tests.server_process import ServerProcess

Operation = ex.Operation


def _values(events: list[ex.OperationEvent]) -> list[str]:
    return [
        event.finished.operation.result["text/plain"].decode()
        for event in events
        if event.WhichOneof("event") == "finished"
    ]


def test_one_operation(api: Api, session: Session) -> None:
    """The same events as Execute gives; the stream ends when the client has said all and all is over."""
    with interacting(api, session.session_id) as stream:
        stream.execute("one", "print('hello')\n1 + 1")
        events = stream.rest()
    assert [event.sequence for event in events] == [1, 2, 3]
    assert [event.WhichOneof("event") for event in events] == ["started", "output", "finished"]
    assert all((e.session_id, e.operation_id) == (session.session_id, "one") for e in events)
    request = ex.ExecuteRequest(
        session_id=session.session_id, operation_id="one", code="print('hello')\n1 + 1"
    )
    assert list(api.execution.Execute(request)) == events


def test_many_in_flight_come_in_order(api: Api, session: Session) -> None:
    """Sent at once; all events of one come before the first of the next."""
    with interacting(api, session.session_id) as stream:
        for number in range(60):
            stream.execute(f"o{number}", f"print({number})\n{number}")
        events = stream.rest()
    assert _values(events) == [str(number) for number in range(60)]
    assert [event.operation_id for event in events] == [f"o{n}" for n in range(60) for _ in range(3)]


def test_state_is_the_sessions(api: Api, session: Session) -> None:
    """What one operation binds the next sees, on the stream and beside it."""
    with interacting(api, session.session_id) as stream:
        stream.execute("a", "n = 1")
        stream.until("finished", "a")
        assert session.run("n += 1; n").value == 2
        stream.execute("b", "n += 1; n", session_id="")
        assert _values(stream.rest()) == ["3"]


def test_input_on_the_stream(api: Api, session: Session) -> None:
    """A question, its answer and the end of file, without another call."""
    with interacting(api, session.session_id) as stream:
        stream.execute("a", "name = input('name? ')\nprint('hi', name)\ninput('more? ')", allow_input=True)
        asked = stream.until("input_request").input_request
        assert asked.prompt == "name? "
        stream.answer("a", asked.input_id, text="Ada")
        more = stream.until("input_request").input_request
        stream.answer("a", more.input_id, end_of_file=True)
        operation = stream.until("finished").finished.operation
        assert operation.error.type_name == "EOFError"
        stream.answer("a", more.input_id, text="late")
        rejected = stream.until("rejected").rejected
        assert (rejected.reason, rejected.request_index) == ("NOT_WAITING_FOR_INPUT", 4)
        assert b"".join(event.output.data for event in stream.of("a")) == b"hi Ada\n"


def test_cancel_on_the_stream(api: Api, session: Session) -> None:
    """One that runs, one that waits for input, one that is queued; the rest goes on."""
    with interacting(api, session.session_id) as stream:
        stream.execute("loop", "print('on')\nwhile True: pass")
        stream.execute("asks", "input()", allow_input=True)
        stream.execute("queued", "1")
        stream.execute("runs", "2")
        stream.until("output", "loop")
        stream.cancel("queued")
        operation = stream.until("finished", "queued").finished.operation
        assert (operation.state, operation.outcome) == (
            Operation.STATE_CANCELLED,
            Operation.OUTCOME_NOT_STARTED,
        )
        stream.cancel("loop")
        assert stream.until("finished", "loop").finished.operation.state == Operation.STATE_CANCELLED
        stream.until("input_request", "asks")
        stream.cancel("asks")
        assert stream.until("finished", "asks").finished.operation.state == Operation.STATE_CANCELLED
        assert _values([stream.until("finished", "runs")]) == ["2"]
        stream.cancel("runs")  # what has finished stays as it is, and that is no error
        assert stream.rest() == []


def test_refused_requests_do_not_end_the_stream(api: Api, session: Session) -> None:
    """Each is answered by `rejected` with what the unary call would have failed with, under its number."""
    with interacting(api, session.session_id) as stream:
        stream.execute("ok", "1")
        stream.execute("", "2")
        stream.execute("bad id!", "2")
        stream.execute("long", "#" * (1 << 20) + "#")
        stream.execute("ok", "another")
        stream.cancel("nonesuch")
        stream.answer("ok", "1")
        stream.answer("ok", "1", text="x" * ((1 << 20) + 1))
        stream.answer("ok", "1", end_of_file=False)
        stream.answer("nonesuch", "1", text="")
        stream.execute("other", "1", session_id="another-session")
        stream.send(ex.InteractRequest())
        stream.execute("slow", "1", timeout=Duration(seconds=-1))
        stream.execute("last", "3")
        events = stream.rest()
    rejected = {e.rejected.request_index: e for e in events if e.WhichOneof("event") == "rejected"}
    assert all(event.sequence == 0 and event.session_id == session.session_id for event in rejected.values())
    assert all(event.time.seconds for event in rejected.values())
    code = grpc.StatusCode
    assert {index: (e.rejected.code, e.rejected.reason) for index, e in rejected.items()} == {
        2: (code.INVALID_ARGUMENT.value[0], "BAD_ID"),
        3: (code.INVALID_ARGUMENT.value[0], "BAD_ID"),
        4: (code.INVALID_ARGUMENT.value[0], "CODE_TOO_LARGE"),
        5: (code.ALREADY_EXISTS.value[0], "OPERATION_ID_REUSED"),
        6: (code.NOT_FOUND.value[0], "OPERATION_NOT_FOUND"),
        7: (code.INVALID_ARGUMENT.value[0], "BAD_FIELD"),
        8: (code.INVALID_ARGUMENT.value[0], "BAD_FIELD"),
        9: (code.INVALID_ARGUMENT.value[0], "BAD_FIELD"),
        10: (code.NOT_FOUND.value[0], "OPERATION_NOT_FOUND"),
        11: (code.INVALID_ARGUMENT.value[0], "BAD_FIELD"),
        12: (code.INVALID_ARGUMENT.value[0], "BAD_FIELD"),
        13: (code.INVALID_ARGUMENT.value[0], "BAD_FIELD"),
    }
    assert rejected[4].operation_id == "long"
    assert rejected[3].operation_id == ""
    assert rejected[2].rejected.metadata["field"] == "execute.operation_id"
    assert rejected[11].rejected.metadata["field"] == "execute.session_id"
    assert not rejected[5].rejected.HasField("retry_delay")
    assert _values(events) == ["1", "3"]


def test_a_full_queue_rejects_and_says_when_to_try_again(api: Api, session: Session) -> None:
    """What was taken runs; the rest may be sent again."""
    with interacting(api, session.session_id) as stream:
        stream.execute("first", "print('on')\nimport time\ntime.sleep(600)")
        stream.until("output")
        for number in range(70):
            stream.execute(f"o{number}", str(number))
        rejected = [stream.until("rejected") for _ in range(6)]
        assert {event.rejected.reason for event in rejected} == {"OPERATION_QUEUE_FULL"}
        assert all(event.rejected.HasField("retry_delay") for event in rejected)
        assert [event.operation_id for event in rejected] == [f"o{number}" for number in range(64, 70)]
        stream.cancel("first")
        assert _values(stream.rest())[-1] == "63"


@pytest.mark.parametrize(
    ("request_", "code", "reason", "field"),
    [
        (ex.InteractRequest(), "INVALID_ARGUMENT", "BAD_FIELD", "request"),
        (
            ex.InteractRequest(execute=ex.ExecuteRequest(operation_id="a", code="1")),
            "INVALID_ARGUMENT",
            "BAD_ID",
            "execute.session_id",
        ),
        (
            ex.InteractRequest(cancel=ex.CancelOperationRequest(session_id="no such")),
            "INVALID_ARGUMENT",
            "BAD_ID",
            "cancel.session_id",
        ),
        (
            ex.InteractRequest(input=ex.ProvideInputRequest(session_id="nonesuch", operation_id="a")),
            "NOT_FOUND",
            "SESSION_NOT_FOUND",
            None,
        ),
    ],
)
def test_a_first_request_must_name_a_session(
    api: Api, request_: ex.InteractRequest, code: str, reason: str, field: str | None
) -> None:
    """Otherwise there is nothing to go on with, and the stream fails."""
    stream = Stream(api)
    stream.send(request_)
    with refused(code, reason, field):
        stream.next()
    stream.done()


def test_a_first_request_may_be_refused(api: Api, session: Session) -> None:
    """Its session is known, so the stream goes on."""
    with interacting(api, session.session_id) as stream:
        stream.execute("", "1")
        assert stream.next().rejected.request_index == 1
        stream.execute("a", "1", session_id="")
        assert _values(stream.rest()) == ["1"]


def test_bytes_that_are_no_request(api: Api, session: Session) -> None:
    """A malformed message is rejected like a malformed field; as the first one it fails the stream."""
    good = ex.InteractRequest(
        execute=ex.ExecuteRequest(session_id=session.session_id, operation_id="a", code="7")
    ).SerializeToString()
    method = api.channel.stream_stream(
        "/sandbank.v1.ExecutionService/Interact",
        request_serializer=lambda data: data,
        response_deserializer=ex.OperationEvent.FromString,
    )
    events = list(method(iter([good, b"\xff\xff\xff"]), timeout=30))
    assert [e.rejected.request_index for e in events if e.WhichOneof("event") == "rejected"] == [2]
    assert _values(events) == ["7"]
    with refused("INVALID_ARGUMENT", "BAD_FIELD"):
        next(method(iter([b"\xff\xff\xff"]), timeout=30))


def test_an_ended_session_ends_the_stream(api: Api, client: Client) -> None:
    """What runs gets its Finished, then the stream fails with the reason; so does one that comes later."""
    with client.session(template="slim") as session, interacting(api, session.session_id) as stream:
        stream.execute("a", "print('on')\nimport time\ntime.sleep(600)")
        stream.until("output")
        api.sessions.DeleteSession(session_pb2.DeleteSessionRequest(session_id=session.session_id))
        assert stream.until("finished", "a").finished.operation.state == Operation.STATE_CANCELLED
        with refused("FAILED_PRECONDITION", "SESSION_TERMINATED"):
            stream.next()
        with (
            interacting(api, session.session_id) as again,
            refused("FAILED_PRECONDITION", "SESSION_TERMINATED"),
        ):
            again.execute("b", "1")
            again.next()


def test_a_repeated_id_replays(api: Api, session: Session) -> None:
    """While it runs and afterwards, as Execute does; it runs once."""
    with interacting(api, session.session_id) as stream:
        for _ in range(2):
            stream.execute("a", "n = globals().get('n', 0) + 1\nn")
        first = stream.until("finished")
        second = stream.until("finished")
        assert first == second
        stream.execute("a", "n = globals().get('n', 0) + 1\nn")
        events = stream.rest()
    assert [event.sequence for event in events] == [1, 2]
    assert session.run("n").value == 1


def test_two_streams_of_a_session(api: Api, session: Session) -> None:
    """Each gets the events of what was sent on it, and only those; either may cancel what the other runs."""
    with interacting(api, session.session_id) as one, interacting(api, session.session_id) as two:
        one.execute("a", "print('on')\nwhile True: pass")
        one.until("output")
        two.execute("b", "2")
        two.cancel("a")
        assert one.until("finished", "a").finished.operation.state == Operation.STATE_CANCELLED
        assert _values(two.rest()) == ["2"]
        assert {event.operation_id for event in two.seen} == {"b"}
        assert {event.operation_id for event in one.seen} == {"a"}


def test_a_client_that_goes_away_ends_nothing(api: Api, session: Session) -> None:
    """Its operations go on, unless they were to be cancelled then."""
    with interacting(api, session.session_id) as stream:
        stream.execute("stays", "import time\nprint('on')\ntime.sleep(0.3)\nkept = 1")
        stream.execute("goes", "while True: pass", cancel_on_disconnect=True)
        stream.execute("queued", "gone = 1", cancel_on_disconnect=True)
        stream.execute("after", "'gone' in globals(), kept")
        stream.execute("", "refused, when the others are recorded")
        stream.until("rejected")
    states = {}
    for name in ("stays", "goes", "queued", "after"):
        watch = ex.WatchOperationRequest(session_id=session.session_id, operation_id=name)
        states[name] = list(api.execution.WatchOperation(watch))[-1].finished.operation
    assert states["stays"].state == Operation.STATE_SUCCEEDED
    assert states["goes"].state == Operation.STATE_CANCELLED
    assert states["queued"].outcome == Operation.OUTCOME_NOT_STARTED
    assert states["after"].result["text/plain"] == b"(False, 1)"


def test_a_deadline_is_a_client_that_goes_away(api: Api, session: Session) -> None:
    """The stream ends with it, what was to be cancelled then is."""
    with interacting(api, session.session_id, timeout=1.0) as stream:
        stream.execute("goes", "print('on')\nwhile True: pass", cancel_on_disconnect=True)
        stream.until("output")
        with pytest.raises(grpc.RpcError) as caught:
            stream.next()
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    watch = ex.WatchOperationRequest(session_id=session.session_id, operation_id="goes")
    assert list(api.execution.WatchOperation(watch))[-1].finished.operation.state == Operation.STATE_CANCELLED


def test_a_reader_that_stops_delays_nobody(server: ServerProcess, api: Api, session: Session) -> None:
    """100 MB of output on a stream that is not read: the code runs on, the server's memory does not grow with it.

    What the reader then still gets is whole; where the journal has dropped events, it is told so.
    """
    names = [f"flood-{number}" for number in range(13)]
    with interacting(api, session.session_id) as stream:
        stream.execute("first", "1")
        stream.until("finished")
        before = _memory_bytes(server)
        for name in names:
            stream.execute(name, "import os\nfor _ in range(128): os.write(1, b'x' * 65536)")
        for name in names:
            operation = _finished(api, session, name)
            assert operation.output_bytes == 8 << 20
        assert _memory_bytes(server) - before < 48 << 20
        rest = stream.rest()
    for name in names:
        events = [event for event in rest if event.operation_id == name]
        numbered = [event.sequence for event in events if event.WhichOneof("event") != "rejected"]
        assert numbered == list(range(1, len(numbered) + 1))
        last = events[-1]
        if last.WhichOneof("event") == "rejected":
            assert last.rejected.reason == "EVENTS_EVICTED"
            assert int(last.rejected.metadata["first_sequence"]) > len(numbered) + 1
        else:
            assert sum(len(event.output.data) for event in events) == 8 << 20
    kinds = [[e for e in rest if e.operation_id == name][-1].WhichOneof("event") for name in names]
    assert kinds[-1] == "finished"
    assert "rejected" in kinds


def test_a_slow_reader_gets_everything(api: Api, session: Session) -> None:
    """It falls behind what is kept at hand, and reads on from the journal: no event is lost, and none comes twice."""
    with interacting(api, session.session_id) as stream:
        stream.execute("flood", "import os\nfor n in range(60): os.write(1, bytes([n]) * 65536)")
        stream.execute("next", "print('next')")
        _finished(api, session, "next")
        events = stream.rest()
    data = b"".join(event.output.data for event in events if event.operation_id == "flood")
    assert data == b"".join(bytes([n]) * 65536 for n in range(60))
    assert [event.sequence for event in stream.of("flood")] == list(range(1, len(stream.of("flood")) + 1))
    assert [event.operation_id for event in events[-3:]] == ["next"] * 3


def test_a_client_that_reads_nothing_is_not_read_from(
    server: ServerProcess, api: Api, session: Session
) -> None:
    """Requests beyond what may be under way wait in the transport; nothing is lost once it reads."""
    with interacting(api, session.session_id) as stream:
        stream.execute("hog", "import os\nfor _ in range(128): os.write(1, b'x' * 65536)")
        _finished(api, session, "hog")
        before = _memory_bytes(server)
        for number in range(20_000):
            stream.execute("", f"{number}" * 100)
        stream.execute("end", "'reached'")
        for _ in range(200):
            session.run("1")
        assert _memory_bytes(server) - before < 32 << 20
        with refused("NOT_FOUND", "OPERATION_NOT_FOUND"):
            _get(api, session, "end")
        assert stream.until("finished", "end").finished.operation.result["text/plain"] == b"'reached'"
        rejected = [event.rejected for event in stream.seen if event.WhichOneof("event") == "rejected"]
        assert [each.request_index for each in rejected] == list(range(2, 20_002))


def _get(api: Api, session: Session, name: str) -> ex.Operation:
    request = ex.GetOperationRequest(session_id=session.session_id, operation_id=name)
    return api.execution.GetOperation(request).operation


def _finished(api: Api, session: Session, name: str) -> ex.Operation:
    """Wait for an operation by another call."""
    while True:
        try:
            operation = _get(api, session, name)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:  # not read yet
                raise
            continue
        if operation.HasField("end_time"):
            return operation
        watch = ex.WatchOperationRequest(
            session_id=session.session_id, operation_id=name, after_sequence=1 << 40
        )
        list(api.execution.WatchOperation(watch))


def _memory_bytes(server: ServerProcess) -> int:
    assert server.process is not None
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")


def test_a_session_that_is_lost_ends_its_operations(api: Api, session: Session) -> None:
    """Code that kills its interpreter: CRASHED on the stream, and what comes next runs in another."""
    with interacting(api, session.session_id) as stream:
        stream.execute("dies", "import os\nos._exit(3)")
        stream.execute("next", "1")
        assert stream.until("finished", "dies").finished.operation.state == Operation.STATE_CRASHED
        assert _values(stream.rest()) == ["1"]


def test_the_error_of_a_rejection_is_that_of_the_unary_call(api: Api, session: Session) -> None:
    """Code, reason, text and metadata are the same."""
    request = ex.CancelOperationRequest(session_id=session.session_id, operation_id="nonesuch")
    with pytest.raises(grpc.RpcError) as caught:
        api.execution.CancelOperation(request)
    unary = refusal(caught.value)
    with interacting(api, session.session_id) as stream:
        stream.send(cancel=request)
        rejected = stream.next().rejected
    assert (rejected.code, rejected.reason) == (unary.code.value[0], unary.reason)
    assert (rejected.message, dict(rejected.metadata)) == (unary.message, unary.metadata)
