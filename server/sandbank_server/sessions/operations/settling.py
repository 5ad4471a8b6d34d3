"""Learning how operations ended while nobody listened to their sandbox."""

from __future__ import annotations

from sandbank_runner.v1 import runner_pb2

from sandbank_server.runners.checks import FINAL_STATES, parse_operation
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.runners.link import LinkClosed, RequestFailed, RunnerLink
from sandbank_server.sessions.operations.live_operation import LiveOperation
from sandbank_server.sessions.operations.operations import Operations

PAGES = 10_000
"""Pages fetched for one operation at most; an honest journal, of 64 MiB, has some hundred."""


async def settle(operations: Operations, operation_id: str, link: RunnerLink) -> None:
    """Fetch the events of an operation that finished while nobody listened, up to its end.

    :class:`LinkClosed` when ``link`` breaks over it, or is ended because what it says cannot be.
    """
    try:
        for _ in range(PAGES):
            live = operations.live.get(operation_id)
            if live is None or operation_id in operations.held:
                return
            await _settle_page(operations, live, link)
        raise RunnerViolation("a journal without an end")
    except RunnerViolation as error:
        link.violate(error)
        raise LinkClosed("the sandbox broke the protocol") from error
    except TimeoutError as error:
        raise LinkClosed("the sandbox did not answer") from error


async def _settle_page(operations: Operations, live: LiveOperation, link: RunnerLink) -> None:
    try:
        page = await operations.journal.fetch(link, live.operation_id, live.last)
    except RequestFailed as error:
        if error.reason != "OPERATION_NOT_FOUND" or live.last:
            raise RunnerViolation("an operation of its own journal is not there") from error
        operations.never_received(live)
        return
    if live.finished:  # ended by somebody else meanwhile
        return
    if not page.events:
        await _settle_evicted(operations, live, link, page.first_kept_sequence - 1)
        return
    if page.first_sequence > live.last + 1:
        live.skip_to(page.first_sequence - 1)
    operations.take_events(
        runner_pb2.Events(
            operation_id=live.operation_id, first_sequence=page.first_sequence, events=page.events
        )
    )


async def _settle_evicted(operations: Operations, live: LiveOperation, link: RunnerLink, last: int) -> None:
    """Take the end of an operation from its record: the journal has dropped its events, Finished among them."""
    asked = runner_pb2.GetOperation(operation_id=live.operation_id)
    try:
        reply = await link.request(get_operation=asked)
    except RequestFailed as error:
        raise RunnerViolation("an operation of its own journal is not there") from error
    operation = parse_operation(reply.operation, operations.session_id, live.operation_id)
    if operation.state not in FINAL_STATES:
        raise RunnerViolation("dropped the newest events of an operation that runs")
    operations.finish_unheard(live, operation, last)
