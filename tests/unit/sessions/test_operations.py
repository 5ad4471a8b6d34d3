"""Operations against a supervisor that misbehaves, is slow, or goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sandbank.v1 import execution_pb2
from sandbank_runner.v1 import runner_pb2
from sandbank_server.errors import (
    EventsEvictedError,
    OperationIdReusedError,
    OperationNotFoundError,
    OperationQueueFullError,
    SandboxLostBeforeStartError,
)
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.runners.link import RunnerLink
from sandbank_server.sessions.log.operation_log import OperationLog
from sandbank_server.sessions.operations.live_operation import WINDOW_BYTES
from sandbank_server.sessions.operations.operations import Operations
from sandbank_server.sessions.operations.settling import settle
from sandbank_server.sessions.operations.submission import Submission

from tests.fakes.supervisor_saboteur import (
    SANDBOX_ID,
    SESSION_ID,
    Wire,
    events,
    finished,
    output,
    started,
    supervisor,
)

Operation = execution_pb2.Operation


class Sink:
    """Hands on what is pushed."""

    def __init__(self, operations: Operations) -> None:
        self.operations = operations

    def on_events(self, told: runner_pb2.Events) -> None:
        """Take in."""
        self.operations.take_events(told)


def new_operations(tmp_path: Path, queue_limit: int = 4) -> Operations:
    """Return the operations of a session without a sandbox."""
    log = OperationLog(str(tmp_path / "log"), SESSION_ID)
    return Operations(SESSION_ID, log, queue_limit, lambda: datetime.now(UTC), lambda _operation: None)


def submission(operation_id: str, code: str = "1") -> Submission:
    """Return a request to run code."""
    request = execution_pb2.ExecuteRequest(session_id=SESSION_ID, operation_id=operation_id, code=code)
    return Submission(request, operation_id, 1.0, 1000)


@asynccontextmanager
async def served(tmp_path: Path, script: Callable[[Wire], Awaitable[None]]) -> AsyncIterator[Operations]:
    """Operations whose supervisor plays ``script`` once it was greeted."""

    async def greeted(wire: Wire) -> None:
        wire.hello()
        await wire.receive()
        await script(wire)

    operations = new_operations(tmp_path)
    async with supervisor(tmp_path, greeted) as endpoint:
        link = await RunnerLink.connect(endpoint, SANDBOX_ID, 5)
        link.set_sink(Sink(operations))
        operations.journal.attach(link)
        link.add_close_callback(lambda _link: operations.journal.detach(for_good=True))
        try:
            yield operations
        finally:
            await link.close()
            operations.log.close()


async def collect(
    operations: Operations, operation_id: str, after: int = 0
) -> list[execution_pb2.OperationEvent]:
    """Watch an operation to its end."""
    return [
        execution_pb2.OperationEvent.FromString(data) async for data in operations.watch(operation_id, after)
    ]


async def test_events_pass_to_every_watcher_as_they_are(tmp_path: Path) -> None:
    """Each watcher sees all events once, byte for byte."""
    told = [started("op"), output("op", 2, b"hello"), finished("op", 3)]

    async def script(wire: Wire) -> None:
        await wire.receive()
        for number, data in enumerate(told, 1):
            wire.send(**events("op", number, data))

    async with served(tmp_path, script) as operations:
        operations.submit(submission("op"))
        watchers = [operations.watch("op"), operations.watch("op", 1)]
        first, second = await asyncio.gather(*(_all(each) for each in watchers))
        assert first == told
        assert second == told[1:]
        entry = operations.log.get("op")
        assert entry is not None
        assert (entry.outcome, entry.last_sequence, entry.started) == (Operation.OUTCOME_COMMITTED, 3, True)
        operations.check_invariants()


async def _all(watch: AsyncIterator[bytes]) -> list[bytes]:
    return [data async for data in watch]


@pytest.mark.parametrize(
    "forged",
    [
        events("stranger", 1, started("stranger")),
        events("op", 2, output("op", 2, b"gap")),
        events("op", 1, output("op", 1, b"x"), output("op", 3, b"gap")),
        events("op", 1, finished("op", 1), output("op", 2, b"after the end")),
        events("op", 1, b"\xff\xff"),
    ],
)
async def test_a_forged_event_ends_the_link(tmp_path: Path, forged: dict[str, runner_pb2.Events]) -> None:
    """What does not fit is not forwarded, and its sender is no longer listened to."""

    async def script(wire: Wire) -> None:
        await wire.receive()
        wire.send(**forged)

    async with served(tmp_path, script) as operations:
        link = operations.link
        assert link is not None
        operations.submit(submission("op"))
        await link.closed.wait()
        assert isinstance(link.error, RunnerViolation)


async def test_a_watcher_that_fell_behind_reads_the_journal(tmp_path: Path) -> None:
    """Beyond the window pages are fetched, and the seams do not show."""
    big = WINDOW_BYTES // 2 + 1
    told = [started("op"), *(output("op", n, bytes([n]) * big) for n in range(2, 8)), finished("op", 8)]

    async def script(wire: Wire) -> None:
        await wire.receive()
        wire.send(**events("op", 1, *told[:6]))
        while True:
            request = await wire.receive()
            after = request.fetch.after_sequence
            page = runner_pb2.Page(
                first_sequence=after + 1, events=told[after : after + 2], first_kept_sequence=1
            )
            wire.send(reply=runner_pb2.Reply(request_id=request.request_id, page=page))
            if after == 0:
                wire.send(**events("op", 7, *told[6:]))

    async with served(tmp_path, script) as operations:
        operations.submit(submission("op"))
        live = operations.live["op"]
        while live.last < 6:
            await live.changed()
        assert live.after(0) is None
        assert await _all(operations.watch("op")) == told


@pytest.mark.parametrize(
    "page",
    [
        runner_pb2.Page(first_sequence=1, events=[]),
        runner_pb2.Page(first_sequence=1, events=[started("other")]),
        runner_pb2.Page(first_sequence=1, events=[b"\xff"]),
    ],
)
async def test_a_forged_page_ends_the_link_and_the_watch(tmp_path: Path, page: runner_pb2.Page) -> None:
    """A replay is checked like what is pushed; an empty answer cannot make us ask for ever."""

    async def script(wire: Wire) -> None:
        await wire.receive()
        wire.send(**events("op", 1, started("op"), finished("op", 2)))
        request = await wire.receive()
        wire.send(reply=runner_pb2.Reply(request_id=request.request_id, page=page))

    async with served(tmp_path, script) as operations:
        link = operations.link
        assert link is not None
        operations.submit(submission("op"))
        await _all(operations.watch("op"))
        with pytest.raises(EventsEvictedError):
            await _all(operations.watch("op"))
        await link.closed.wait()
        assert isinstance(link.error, RunnerViolation)


async def test_evicted_events_are_said_to_be_gone(tmp_path: Path) -> None:
    """A journal that begins later is honest; whoever repeats the request gets at least the end."""

    async def script(wire: Wire) -> None:
        await wire.receive()
        wire.send(**events("op", 1, started("op"), output("op", 2, b"x"), finished("op", 3)))
        while True:
            request = await wire.receive()
            page = runner_pb2.Page(first_sequence=0, first_kept_sequence=4)
            wire.send(reply=runner_pb2.Reply(request_id=request.request_id, page=page))

    async with served(tmp_path, script) as operations:
        operations.submit(submission("op"))
        await _all(operations.watch("op"))
        with pytest.raises(EventsEvictedError):
            await _all(operations.watch("op"))
        (end,) = [
            execution_pb2.OperationEvent.FromString(each)
            for each in await _all(operations.watch("op", lenient=True))
        ]
        assert end.finished.operation.outcome == Operation.OUTCOME_COMMITTED
        assert await collect(operations, "op", 2) == [end]


async def test_a_lost_sandbox_ends_every_operation(tmp_path: Path) -> None:
    """The one that ran is rolled back, the queued one never started; both still get their Finished."""

    async def script(wire: Wire) -> None:
        await wire.receive()
        wire.send(**events("runs", 1, started("runs")))

    async with served(tmp_path, script) as operations:
        operations.submit(submission("runs"))
        operations.submit(submission("waits"))
        while not operations.live["runs"].started:
            await operations.live["runs"].changed()
        watches = asyncio.gather(collect(operations, "runs"), collect(operations, "waits"))
        await asyncio.sleep(0)
        operations.journal.detach(for_good=True)
        operations.end_all("the sandbox died")
        runs, waits = await watches
        assert [event.sequence for event in runs] == [1, 2]
        assert runs[-1].finished.operation.outcome == Operation.OUTCOME_ROLLED_BACK
        assert waits[-1].finished.operation.outcome == Operation.OUTCOME_NOT_STARTED
        operations.check_invariants()


async def test_a_reused_id_is_refused_and_a_repeated_one_known(tmp_path: Path) -> None:
    """How the call is bound does not matter to what the request is."""
    operations = new_operations(tmp_path)
    operations.log.dispatch("op", submission("op").digest(), 1)
    assert operations.known(submission("op")) is not None
    assert operations.known(submission("other")) is None
    bound = submission("op")
    bound.request.cancel_on_disconnect = True
    assert operations.known(bound) is not None
    with pytest.raises(OperationIdReusedError):
        operations.known(submission("op", "2"))
    operations.log.close()


async def test_nothing_is_recorded_without_a_sandbox(tmp_path: Path) -> None:
    """What could not be sent may be sent again under the same id."""
    operations = new_operations(tmp_path)
    with pytest.raises(SandboxLostBeforeStartError):
        operations.submit(submission("op"))
    assert operations.log.get("op") is None
    with pytest.raises(OperationNotFoundError):
        await operations.get("op")
    with pytest.raises(OperationNotFoundError):
        await operations.cancel("op")
    operations.log.close()


async def test_the_queue_is_bounded(tmp_path: Path) -> None:
    """One runs, so many wait, the next is refused and leaves no trace."""

    async def script(wire: Wire) -> None:
        await wire.reader.read()

    async with served(tmp_path, script) as operations:
        for number in range(5):
            operations.submit(submission(f"op-{number}"))
        with pytest.raises(OperationQueueFullError):
            operations.submit(submission("op-5"))
        assert operations.log.get("op-5") is None
        operations.check_invariants()


async def test_a_found_sandbox_is_matched_with_the_log(tmp_path: Path) -> None:
    """What it never got did not start; what runs goes on where it is; what finished is fetched."""
    told = [started("done"), output("done", 2, b"x"), finished("done", 3)]

    async def script(wire: Wire) -> None:
        request = await wire.receive()
        after = request.fetch.after_sequence
        page = runner_pb2.Page(first_sequence=after + 1, events=told[after:], first_kept_sequence=1)
        wire.send(reply=runner_pb2.Reply(request_id=request.request_id, page=page))
        request = await wire.receive()
        failure = runner_pb2.Failure(reason="OPERATION_NOT_FOUND")
        wire.send(reply=runner_pb2.Reply(request_id=request.request_id, failure=failure))

    async with served(tmp_path, script) as operations:
        link = operations.link
        assert link is not None
        for name in ("done", "runs", "never"):
            operations.log.dispatch(name, "digest", 1)
        hello = runner_pb2.Hello(
            operations=[
                runner_pb2.OperationSummary(operation_id="done", finished=True, last_sequence=3),
                runner_pb2.OperationSummary(operation_id="runs", last_sequence=7),
            ]
        )
        assert operations.resynchronise(hello) == ["done", "never"]
        await settle(operations, "done", link)
        await settle(operations, "never", link)
        states = {name: (entry.state, entry.outcome) for name, entry in operations.log.newest_first(9, 9)}
        assert states["done"] == (Operation.STATE_SUCCEEDED, Operation.OUTCOME_COMMITTED)
        assert states["never"] == (Operation.STATE_CRASHED, Operation.OUTCOME_NOT_STARTED)
        assert operations.live["runs"].last == 7
        operations.check_invariants()


async def test_a_journal_that_went_backwards_is_a_violation(tmp_path: Path) -> None:
    """A sandbox cannot take back what it told."""
    operations = new_operations(tmp_path)
    operations.log.dispatch("op", "digest", 1)
    hello = runner_pb2.Hello(operations=[runner_pb2.OperationSummary(operation_id="op", last_sequence=5)])
    operations.resynchronise(hello)
    hello.operations[0].last_sequence = 4
    with pytest.raises(RunnerViolation):
        operations.resynchronise(hello)
    operations.log.close()
