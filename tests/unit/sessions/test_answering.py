"""Answers to questions find their way to the sandbox, or the caller learns what became of them."""

from __future__ import annotations

import asyncio

import pytest
from sandbank.v1 import execution_pb2
from sandbank_runner.v1 import runner_pb2
from sandbank_server.errors import (
    NotWaitingForInputError,
    OperationNotFoundError,
    SandboxLostError,
    SessionBusyError,
    SessionNotFoundError,
)
from sandbank_server.sessions.life.session import Session
from sandbank_server.sessions.operations import answering

from tests.fakes.session_world import TENANT, World, until

Operation = execution_pb2.Operation


async def _asking(made: World) -> Session:
    """Return a session in which operation `op` has asked question 1."""
    session = await made.create()
    await made.submit(session, "op", allow_input=True)
    sandbox = made.sandbox_of(session)
    sandbox.start("op")
    sandbox.push("op", input_request=execution_pb2.InputRequest(input_id="1", prompt="? "))
    await until(lambda: session.operations.live["op"].last == 2)
    return session


def _answers(made: World, session: Session) -> list[runner_pb2.ProvideInput]:
    asked = made.sandbox_of(session).asked
    return [each.provide_input for each in asked if each.HasField("provide_input")]


async def _provide(made: World, session: Session, text: str | None = "x", operation_id: str = "op") -> None:
    await made.manager.provide_input(TENANT, session.session_id, operation_id, "1", text)


async def test_text_and_the_end_of_file_are_handed_on(made: World) -> None:
    """As they were given; the submission said that the code may ask."""
    session = await _asking(made)
    assert made.sandbox_of(session).journal["op"].submit.allow_input
    await _provide(made, session, "a line")
    await _provide(made, session, "")
    await _provide(made, session, None)
    first, empty, end = _answers(made, session)
    assert (first.operation_id, first.input_id, first.text) == ("op", "1", "a line")
    assert empty.WhichOneof("reply") == "text"
    assert end.end_of_file


async def test_whether_an_operation_waits_is_for_the_sandbox_to_say(made: World) -> None:
    """Its refusals are the caller's; others than these it may not give."""
    session = await _asking(made)
    for reason, error in (
        ("NOT_WAITING_FOR_INPUT", NotWaitingForInputError),
        ("OPERATION_NOT_FOUND", OperationNotFoundError),
        ("BAD_CREDENTIALS", SessionBusyError),
    ):

        def refuse(_request: runner_pb2.ToRunner, reply: runner_pb2.Reply, reason: str = reason) -> bool:
            reply.failure.reason = reason
            return True

        made.sandbox_of(session).answer = refuse
        with pytest.raises(error):
            await _provide(made, session)


async def test_what_is_not_there_or_over_is_not_asked_about(made: World) -> None:
    """Unknown sessions and operations, ended operations, operations of ended sessions."""
    session = await _asking(made)
    with pytest.raises(OperationNotFoundError):
        await _provide(made, session, operation_id="other")
    with pytest.raises(SessionNotFoundError):
        await made.manager.provide_input("other", session.session_id, "op", "1", "x")
    made.sandbox_of(session).finish("op")
    await until(lambda: not session.operations.live)
    with pytest.raises(NotWaitingForInputError):
        await _provide(made, session)
    assert _answers(made, session) == []
    await made.manager.delete(TENANT, session.session_id)
    with pytest.raises(NotWaitingForInputError):
        await _provide(made, session)


async def test_an_answer_waits_while_the_link_is_mended(made: World) -> None:
    """And is sent on the new one."""
    session = await _asking(made)
    made.sandbox_of(session).drop()
    await until(lambda: session.operations.link is None)
    await _provide(made, session, "patient")
    assert [each.text for each in _answers(made, session)] == ["patient"]


async def test_an_answer_that_was_not_sent_may_be_sent_again(
    made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SESSION_BUSY when the link is not mended in time."""
    monkeypatch.setattr(answering, "_ATTACH_SECONDS", 0.01)
    session = await _asking(made)
    link = session.operations.journal.detach(for_good=False)
    assert link is not None
    with pytest.raises(SessionBusyError):
        await _provide(made, session)
    session.operations.journal.attach(link)
    await _provide(made, session)


async def test_an_answer_whose_fate_nobody_knows(made: World) -> None:
    """The link broke after it was sent: SANDBOX_LOST, and the caller has to look."""
    session = await _asking(made)
    sandbox = made.sandbox_of(session)
    sandbox.answer = lambda request, _reply: not request.HasField("provide_input")
    waiting = asyncio.create_task(_provide(made, session))
    await until(lambda: bool(_answers(made, session)))
    sandbox.drop()
    with pytest.raises(SandboxLostError):
        await waiting


async def test_a_restarted_control_plane_hands_answers_on(made: World) -> None:
    """It knows the operation by its log only."""
    session = await _asking(made)
    await made.restart()
    await made.manager.provide_input(TENANT, session.session_id, "op", "1", "still")
    sandbox = made.pool.sandboxes[session.record.sandbox_id]
    assert [each.provide_input.text for each in sandbox.asked if each.HasField("provide_input")] == ["still"]


async def test_cancelling_for_who_has_left_waits_for_the_link(made: World) -> None:
    """A call and the link may break at the same moment; the operation is cancelled all the same."""
    session = await made.create()
    await made.submit(session, "op")
    sandbox = made.sandbox_of(session)
    sandbox.start("op")
    sandbox.drop()
    await until(lambda: session.operations.link is None)
    made.manager.cancel_soon(TENANT, session.session_id, "op")
    await until(lambda: any(each.HasField("cancel") for each in sandbox.asked))


async def test_cancelling_for_who_has_left_is_tried_again(made: World) -> None:
    """The link breaks before the sandbox has answered: it is asked once more over the next."""
    session = await made.create()
    await made.submit(session, "op")
    sandbox = made.sandbox_of(session)
    sandbox.start("op")
    sandbox.answer = lambda request, _reply: not request.HasField("cancel")
    made.manager.cancel_soon(TENANT, session.session_id, "op")
    await until(lambda: any(each.HasField("cancel") for each in sandbox.asked))
    sandbox.asked.clear()
    sandbox.answer = lambda _request, _reply: True
    sandbox.drop()
    await until(lambda: session.operations.link is None)
    await until(lambda: made.clock.pending > 0)
    made.clock.advance(1.0)
    await until(lambda: any(each.HasField("cancel") for each in sandbox.asked))
