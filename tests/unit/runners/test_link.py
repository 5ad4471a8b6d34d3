"""What comes out of a sandbox is hostile until it was checked."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import pytest
from sandbank.v1 import execution_pb2
from sandbank_runner.v1 import runner_pb2
from sandbank_server.runners.checks import (
    check_event,
    check_page,
    parse_operation,
    reason_of,
    version_of,
)
from sandbank_server.runners.frames import FRAME_BYTES, RunnerViolation
from sandbank_server.runners.link import LinkClosed, RequestFailed, RunnerLink

from tests.fakes.session_world import until
from tests.fakes.supervisor_saboteur import (
    SANDBOX_ID,
    SESSION_ID,
    Wire,
    event,
    events,
    finished,
    output,
    started,
    supervisor,
)

Operation = execution_pb2.Operation


async def test_a_good_supervisor_is_greeted(tmp_path: Path) -> None:
    """Hello is read, Open says what for, a request gets its reply."""
    seen: list[runner_pb2.ToRunner] = []

    async def script(wire: Wire) -> None:
        wire.hello()
        seen.append(await wire.receive())
        ping = await wire.receive()
        wire.send(reply=runner_pb2.Reply(request_id=ping.request_id, pong=runner_pb2.Pong(process_count=3)))

    async with supervisor(tmp_path, script) as endpoint:
        link = await RunnerLink.connect(endpoint, SANDBOX_ID, 5)
        reply = await link.request(ping=runner_pb2.Ping())
        assert reply.pong.process_count == 3
        assert seen[0].open.purpose == runner_pb2.PURPOSE_CONTROL
        await link.close()
        assert link.closed.is_set()


@pytest.mark.parametrize(
    "greeting",
    [
        {"protocol_version": 2},
        {"protocol_version": 0},
        {"sandbox_id": "sb-another00000"},
    ],
)
async def test_another_version_or_sandbox_is_refused(tmp_path: Path, greeting: dict[str, object]) -> None:
    """What cannot be understood, or is somebody else, is not spoken to."""

    async def script(wire: Wire) -> None:
        wire.hello(**greeting)

    async with supervisor(tmp_path, script) as endpoint:
        with pytest.raises(RunnerViolation):
            await RunnerLink.connect(endpoint, SANDBOX_ID, 5)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x00\x00\x05\xff\xff\xff\xff\xff",
        struct.pack(">I", FRAME_BYTES + 1),
        b"HTTP/1.1 200 OK\r\n\r\n" * 10,
        struct.pack(">I", 0),
    ],
)
async def test_garbage_ends_the_connection(tmp_path: Path, garbage: bytes) -> None:
    """A frame that is too large, or no message, or the wrong one, is a violation; nothing is read on."""

    async def script(wire: Wire) -> None:
        wire.raw(garbage)

    async with supervisor(tmp_path, script) as endpoint:
        with pytest.raises(RunnerViolation):
            await RunnerLink.connect(endpoint, SANDBOX_ID, 5)


async def test_a_silent_supervisor_times_out(tmp_path: Path) -> None:
    """Somebody who listens and says nothing costs the time that was allowed."""

    async def script(wire: Wire) -> None:
        await wire.reader.read()

    async with supervisor(tmp_path, script) as endpoint:
        with pytest.raises(TimeoutError):
            await RunnerLink.connect(endpoint, SANDBOX_ID, 0.05)


async def test_unasked_messages_before_assignment_are_a_violation(tmp_path: Path) -> None:
    """A sandbox in the pool has nothing to tell."""

    async def script(wire: Wire) -> None:
        wire.hello()
        wire.send(**events("op", 1, started("op")))

    async with supervisor(tmp_path, script) as endpoint:
        with pytest.raises(RunnerViolation):
            await RunnerLink.connect(endpoint, SANDBOX_ID, 5)


async def test_what_an_adopted_sandbox_tells_waits_for_a_listener(tmp_path: Path) -> None:
    """Between the greeting and the session's arrival nothing is lost, however much there is."""
    pushed = [output("op", number, b"x" * 60_000) for number in range(1, 60)]

    async def script(wire: Wire) -> None:
        wire.hello(session_id=SESSION_ID)
        await wire.receive()
        for number, data in enumerate(pushed, 1):
            wire.send(**events("op", number, data))
        await wire.writer.drain()

    class Sink:
        def __init__(self) -> None:
            self.seen: list[bytes] = []
            self.all = asyncio.Event()

        def on_events(self, told: runner_pb2.Events) -> None:
            self.seen += told.events
            if len(self.seen) == len(pushed):
                self.all.set()

    async with supervisor(tmp_path, script) as endpoint:
        link = await RunnerLink.connect(endpoint, SANDBOX_ID, 5)
        held = asyncio.Event()
        pause = link._protocol.pause_reading
        link._protocol.pause_reading = lambda: (pause(), held.set())  # type: ignore[method-assign]
        await held.wait()
        assert sum(each.ByteSize() for each in link._held) < 1024 * 1024
        sink = Sink()
        link.set_sink(sink)
        await sink.all.wait()
        assert sink.seen == pushed
        await link.close()


async def test_a_reply_to_nothing_is_ignored_and_a_lost_link_fails_requests(tmp_path: Path) -> None:
    """Waiting requests end when the connection does."""

    async def script(wire: Wire) -> None:
        wire.hello()
        wire.send(reply=runner_pb2.Reply(request_id=99))
        await wire.receive()
        await wire.receive()
        wire.writer.close()

    async with supervisor(tmp_path, script) as endpoint:
        link = await RunnerLink.connect(endpoint, SANDBOX_ID, 5)
        with pytest.raises(LinkClosed):
            await link.request(ping=runner_pb2.Ping())
        with pytest.raises(LinkClosed):
            link.submit(runner_pb2.Submit(operation_id="x"))


async def test_a_failure_carries_reason_and_bounded_text(tmp_path: Path) -> None:
    """A refusal is told by its reason; the text of a sandbox is cut."""

    async def script(wire: Wire) -> None:
        wire.hello()
        await wire.receive()
        request = await wire.receive()
        failure = runner_pb2.Failure(reason="OPERATION_NOT_FOUND", message="x" * 9999)
        wire.send(reply=runner_pb2.Reply(request_id=request.request_id, failure=failure))

    async with supervisor(tmp_path, script) as endpoint:
        link = await RunnerLink.connect(endpoint, SANDBOX_ID, 5)
        with pytest.raises(RequestFailed) as caught:
            await link.request(fetch=runner_pb2.Fetch(operation_id="x"))
        assert caught.value.reason == "OPERATION_NOT_FOUND"
        assert len(caught.value.message) == 500
        await link.close()


async def test_a_request_that_is_never_answered_ends_the_link(tmp_path: Path) -> None:
    """A supervisor that is stuck is no longer served by."""

    async def script(wire: Wire) -> None:
        wire.hello()

    async with supervisor(tmp_path, script) as endpoint:
        link = await RunnerLink.connect(endpoint, SANDBOX_ID, 5)
        with pytest.raises(TimeoutError):
            await link.request(0.02, ping=runner_pb2.Ping())
        await link.closed.wait()
        assert isinstance(link.error, RunnerViolation)


def _bad(data: bytes) -> None:
    with pytest.raises(RunnerViolation):
        check_event(data, SESSION_ID, "op", 2)


def test_events_must_be_what_they_claim() -> None:
    """Session, operation, sequence, kind, final state and outcome are all checked; size too."""
    assert check_event(output("op", 2, b"x"), SESSION_ID, "op", 2).output.data == b"x"
    assert check_event(finished("op", 2), SESSION_ID, "op", 2).HasField("finished")
    _bad(b"\xff")
    _bad(output("other", 2, b"x"))
    _bad(output("op", 3, b"x"))
    _bad(event("op", 2, "ses-2", started=execution_pb2.Started()))
    _bad(event("op", 2))
    _bad(event("op", 2, rejected=execution_pb2.Rejected()))
    _bad(finished("op", 2, state=Operation.STATE_RUNNING))
    _bad(finished("op", 2, outcome=Operation.OUTCOME_LOST))
    _bad(finished("op", 2, operation_id="other"))
    _bad(finished("op", 2, session_id="ses-2"))
    _bad(finished("op", 2, durable_checkpoint_id="cp-1"))
    _bad(output("op", 2, b"x" * 16 * 1024 * 1024))
    ask = execution_pb2.InputRequest
    asked = check_event(
        event("op", 2, input_request=ask(input_id="7", prompt="€" * 21845)), SESSION_ID, "op", 2
    )
    assert asked.input_request.input_id == "7"
    for input_id in ("", "x", "1 ", "-1", "9" * 17, "\u0661"):
        _bad(event("op", 2, input_request=ask(input_id=input_id)))
    _bad(event("op", 2, input_request=ask(input_id="7", prompt="€" * 21846)))
    with pytest.raises(RunnerViolation):
        parse_operation(b"\xff", SESSION_ID, "op")


async def test_closing_twice_and_after_the_end_is_fine(tmp_path: Path) -> None:
    """Close callbacks come once, also for whoever asks too late."""
    calls: list[RunnerLink] = []

    async def script(wire: Wire) -> None:
        wire.hello()

    async with supervisor(tmp_path, script) as endpoint:
        link = await RunnerLink.connect(endpoint, SANDBOX_ID, 5)
        link.add_close_callback(calls.append)
        await asyncio.gather(link.close(), link.close())
        link.add_close_callback(calls.append)
        assert calls == [link, link]


async def test_a_fault_of_ours_ends_the_connection_and_is_not_held_against_the_sandbox(
    tmp_path: Path,
) -> None:
    """An exception in a listener does not stop the loop from reading: the link ends, and its owner dials anew."""
    ended = asyncio.Event()

    class Broken:
        def on_events(self, told: runner_pb2.Events) -> None:
            raise ZeroDivisionError("a fault of ours")

    async def script(wire: Wire) -> None:
        wire.hello(session_id=SESSION_ID)
        await wire.receive()
        wire.send(**events("op", 1, started("op")))

    for before in (True, False):
        ended.clear()
        (tmp_path / str(before)).mkdir()
        async with supervisor(tmp_path / str(before), script) as endpoint:
            link = await RunnerLink.connect(endpoint, SANDBOX_ID, 5)
            await until(lambda: not before or bool(link._held))  # noqa: B023
            link.add_close_callback(lambda _link: 1 / 0)
            link.add_close_callback(lambda _link: ended.set())
            link.set_sink(Broken())
            await asyncio.wait_for(ended.wait(), 5)
            assert isinstance(link.error, ZeroDivisionError)


@pytest.mark.parametrize(
    "greeting",
    [
        {"execution_count": -1},
        {"execution_count": 2**60},
        {"last_replaced": runner_pb2.InterpreterReplaced(number=-1)},
        {"operations": [runner_pb2.OperationSummary(operation_id="a", last_sequence=-1)]},
        {"operations": [runner_pb2.OperationSummary(operation_id="a", last_sequence=2**62)]},
        {"operations": [runner_pb2.OperationSummary(operation_id="a", first_kept_sequence=9)]},
        {"operations": [runner_pb2.OperationSummary(operation_id=str(n)) for n in range(10_001)]},
    ],
)
async def test_a_greeting_that_cannot_be_is_refused(tmp_path: Path, greeting: dict[str, object]) -> None:
    """Absurd counts and sequences are not reckoned with."""

    async def script(wire: Wire) -> None:
        wire.hello(**greeting)

    async with supervisor(tmp_path, script) as endpoint:
        with pytest.raises(RunnerViolation):
            await RunnerLink.connect(endpoint, SANDBOX_ID, 5)


@pytest.mark.parametrize(
    "fields",
    [
        {"execution_count": -1},
        {"execution_count": 2**60},
        {"output_bytes": -1},
        {"dropped_output_bytes": -1},
        {"start_time": {"seconds": -1}},
        {"end_time": {"seconds": 2**60}},
        {"end_time": {"nanos": 10**9}},
        {"create_time": {"nanos": -1}},
        {"usage": {"wall_time": {"seconds": -1}}},
        {"usage": {"cpu_time": {"seconds": 2**62}}},
        {"usage": {"peak_memory_bytes": -1}},
        {"outcome": 99},
    ],
)
def test_times_and_counts_that_cannot_be_are_refused(fields: dict[str, object]) -> None:
    """Nothing goes to a client, or into a record, that a library cannot convert."""
    _bad(finished("op", 2, **fields))


def test_an_event_needs_a_time_that_can_be() -> None:
    """Whatever else it is."""
    forged = execution_pb2.OperationEvent.FromString(started("op", 2))
    forged.time.seconds = 10**15
    _bad(forged.SerializeToString())


@pytest.mark.parametrize(
    "page",
    [
        runner_pb2.Page(first_sequence=1, events=[b"x"]),
        runner_pb2.Page(first_sequence=9, events=[b"x"], first_kept_sequence=1),
        runner_pb2.Page(first_sequence=2**60, events=[b"x"], first_kept_sequence=2**60),
        runner_pb2.Page(first_sequence=6, first_kept_sequence=6),
        runner_pb2.Page(),
    ],
)
def test_a_page_must_follow_what_was_asked_for(page: runner_pb2.Page) -> None:
    """Neither a gap that is not an eviction nor an answer that would have us ask for ever."""
    with pytest.raises(RunnerViolation):
        check_page(page, 5)


def test_text_of_a_supervisor_becomes_one_bounded_line() -> None:
    """A version that is none is left out; control characters of a reason are blanks."""
    assert version_of(runner_pb2.Hello(python_version="3.13.5")) == "3.13.5"
    assert version_of(runner_pb2.Hello(python_version="3\x1b[31m")) == ""
    assert reason_of("a\nb\x07" + "c" * 999) == "a b " + "c" * 196
