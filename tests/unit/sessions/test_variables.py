"""Reads of variables from a sandbox that answers, refuses, lies or says nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sandbank.v1 import session_pb2, state_pb2, variable_pb2
from sandbank_runner.v1 import runner_pb2
from sandbank_server.errors import (
    DomainError,
    FormatUnavailableError,
    NoSuchTransactionError,
    SessionBusyError,
    SessionCrashedError,
    TooLargeError,
    VariableNotFoundError,
)
from sandbank_server.sessions.contents.variables import Listing, SessionVariables
from sandbank_server.sessions.life.session import Session

from tests.fakes.session_world import World, state_of

State = session_pb2.Session
ALL = Listing("", include_private=False, after="", limit=10)
REPR = state_pb2.VALUE_FORMAT_REPR


def variable(name: str, **fields: Any) -> bytes:
    """Return one, serialized."""
    return variable_pb2.Variable(name=name, type_name="int", preview="1", **fields).SerializeToString()


def answers(made: World, session: Session, *, failure: str = "", **result: Any) -> list[runner_pb2.Read]:
    """Have the sandbox answer reads so; return what it is asked."""
    asked: list[runner_pb2.Read] = []

    def answer(request: runner_pb2.ToRunner, reply: runner_pb2.Reply) -> bool:
        if request.WhichOneof("message") == "read":
            asked.append(request.read)
            if failure:
                reply.failure.CopyFrom(runner_pb2.Failure(reason=failure, message="it\nsays"))
            else:
                reply.read.CopyFrom(runner_pb2.ReadResult(**result))
        return True

    made.sandbox_of(session).answer = answer
    return asked


async def test_a_page_is_asked_for_and_returned(made: World) -> None:
    """With its filters, and what the answer includes."""
    session = await made.create()
    asked = answers(made, session, variables=[variable("xa"), variable("xb")], more=True, stale=True)
    found = await SessionVariables(session).list("", Listing("x", include_private=True, after="x", limit=2))
    assert [each.name for each in found.variables] == ["xa", "xb"]
    assert (found.more, found.as_of.operation_id, found.as_of.stale) == (True, "", True)
    wanted = runner_pb2.Read.ListVariables(name_prefix="x", include_private=True, after_name="x", limit=2)
    assert [(read.list, read.HasField("timeout")) for read in asked] == [(wanted, True)]


async def test_a_value_is_returned_with_its_variable(made: World) -> None:
    """And its type."""
    session = await made.create()
    answers(made, session, variables=[variable("n")], data=b"1", mime_type="text/plain")
    found = await SessionVariables(session).get("t-1", "n", REPR, 100)
    assert (found.variables[0].name, found.data, found.mime_type) == ("n", b"1", "text/plain")


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("VARIABLE_NOT_FOUND", VariableNotFoundError),
        ("FORMAT_UNAVAILABLE", FormatUnavailableError),
        ("TOO_LARGE", TooLargeError),
        ("SESSION_BUSY", SessionBusyError),
        ("NO_SUCH_TRANSACTION", NoSuchTransactionError),
        ("BUG", SessionBusyError),
    ],
)
async def test_a_refusal_is_told_by_its_reason(made: World, reason: str, error: type[DomainError]) -> None:
    """A limit is named where it is over one; what may work later says when."""
    session = await made.create()
    answers(made, session, failure=reason)
    with pytest.raises(error) as caught:
        await SessionVariables(session).get("", "n", REPR, 100)
    assert "\n" not in caught.value.message
    if error is TooLargeError:
        assert caught.value.metadata["limit_bytes"] == "100"
    if error is SessionBusyError:
        assert caught.value.retry_delay
    assert session.view().state == State.STATE_ACTIVE


LIES: dict[str, dict[str, Any]] = {
    "too many": {"variables": [variable(f"v{number:02}") for number in range(11)]},
    "out of order": {"variables": [variable("b"), variable("a")]},
    "twice": {"variables": [variable("a"), variable("a")]},
    "no name": {"variables": [variable("")]},
    "a long name": {"variables": [variable("a" * 1001)]},
    "many words": {"variables": [variable("a", dtype="x" * 5000)]},
    "many dimensions": {"variables": [variable("a", shape=[1] * 100)]},
    "a negative size": {"variables": [variable("a", size_bytes=-1)]},
    "a negative length": {"variables": [variable("a", length=-1)]},
    "no variable at all": {"variables": [b"\xff\xff"]},
    "endless pages": {"more": True},
    "an unknown operation": {"as_of_operation_id": "never-was"},
}


@pytest.mark.parametrize("result", LIES.values(), ids=LIES)
async def test_a_listing_that_cannot_be_ends_the_sandbox(made: World, result: dict[str, Any]) -> None:
    """Nothing of it goes to the client."""
    session = await made.create()
    answers(made, session, **result)
    with pytest.raises(SessionBusyError):
        await SessionVariables(session).list("", ALL)
    await state_of(session, State.STATE_CRASHED)
    with pytest.raises(SessionCrashedError):
        await SessionVariables(session).list("", ALL)


@pytest.mark.parametrize(
    "result",
    [
        {"variables": [variable("other")], "data": b"1", "mime_type": "text/plain"},
        {"variables": [], "data": b"1", "mime_type": "text/plain"},
        {"variables": [variable("n")], "data": b"1" * 101, "mime_type": "text/plain"},
        {"variables": [variable("n")], "data": b"1", "mime_type": ""},
        {"variables": [variable("n")], "data": b"1", "mime_type": "a\nb"},
    ],
    ids=["another variable", "none", "more than asked for", "no type", "a type of two lines"],
)
async def test_a_value_that_was_not_asked_for_ends_the_sandbox(made: World, result: dict[str, Any]) -> None:
    """Nothing of it goes to the client."""
    session = await made.create()
    answers(made, session, **result)
    with pytest.raises(SessionBusyError):
        await SessionVariables(session).get("", "n", REPR, 100)
    await state_of(session, State.STATE_CRASHED)


async def test_a_sandbox_that_is_lost_meanwhile_costs_the_read(made: World) -> None:
    """SESSION_BUSY: it may be tried again."""
    session = await made.create()
    asked = asyncio.Event()

    def answer(request: runner_pb2.ToRunner, _reply: runner_pb2.Reply) -> bool:
        if request.WhichOneof("message") == "read":
            asked.set()
            return False
        return True

    sandbox = made.sandbox_of(session)
    sandbox.answer = answer
    reading = asyncio.ensure_future(SessionVariables(session).list("", ALL))
    await asked.wait()
    sandbox.drop()
    with pytest.raises(SessionBusyError):
        await reading


async def test_a_read_is_a_use_of_the_session(made: World) -> None:
    """Its idle time begins anew."""
    session = await made.create()
    answers(made, session)
    before = session.record.last_active_time
    made.clock.advance(30)
    await SessionVariables(session).list("", ALL)
    assert (session.record.last_active_time - before).total_seconds() == 30
