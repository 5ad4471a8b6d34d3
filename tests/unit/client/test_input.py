"""Questions that running code asks: answered by a callback, by hand, or not at all."""

import asyncio

import grpc
import pytest
from sandbank import AsyncClient, Client, errors, reasons
from sandbank.events import InputRequested
from sandbank.v1 import execution_pb2 as ex

from tests.fakes.api_server import BreakAfter, FakeServer, Refuse, events_of

ASKING = "ask()"
# Python's own words for a question, and what the questions of `ASKING` are.
QUESTIONS = [("name? ", False), ("key: ", True)]


@pytest.fixture(autouse=True)
def asking(server: FakeServer) -> None:
    """Code that asks for a name and for a password."""
    server.programs[ASKING] = events_of(
        ex.InputRequest(input_id="in-1", prompt="name? "),
        b"hello\n",
        ex.InputRequest(input_id="in-2", prompt="key: ", password=True),
        result={"text/plain": b"'ok'", "application/json": b'"ok"'},
    )


def test_a_callback_answers_with_a_line_or_the_end_of_the_input(server: FakeServer, client: Client) -> None:
    """It gets the prompt and whether the answer is secret; None is the end; output comes in between."""
    asked: list[tuple[str, bool]] = []
    out: list[str] = []

    def answer(prompt: str, password: bool) -> str | None:
        asked.append((prompt, password))
        return None if password else "Ada"

    result = client.session().run(ASKING, input=answer, on_stdout=out.append)
    assert (result.value, out, asked) == ("ok", ["hello\n"], QUESTIONS)
    assert list(server.replies.values()) == ["Ada", None]
    assert server.called("Execute")[0].allow_input


def test_without_a_callback_code_may_not_ask(server: FakeServer, client: Client) -> None:
    """Else it would wait for an answer that nobody gives."""
    session = client.session()
    session.run("1+1")
    session.execute("1+1").result()
    assert not server.called("Run")[0].execute.allow_input
    assert not server.called("Execute")[0].allow_input


def test_what_a_callback_raises_cancels_the_operation_and_comes_out(
    server: FakeServer, client: Client
) -> None:
    """Also what is no Exception: Ctrl-C at the prompt."""

    def refuse_to_answer(prompt: str, password: bool) -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.session().run(ASKING, input=refuse_to_answer, operation_id="asked")
    assert [request.operation_id for request in server.called("CancelOperation")] == ["asked"]
    assert server.replies == {}


def test_an_answer_that_is_no_text_cancels_too(server: FakeServer, client: Client) -> None:
    """The code must not wait for ever because of it."""
    with pytest.raises(TypeError):
        client.session().run(ASKING, input=lambda prompt, password: 42)  # type: ignore[arg-type,return-value]
    assert len(server.called("CancelOperation")) == 1


def test_a_question_that_is_over_needs_no_answer(server: FakeServer, client: Client) -> None:
    """The operation was stopped, or somebody else has answered: its events tell."""
    session = client.session()

    def too_late(prompt: str, password: bool) -> str:
        input_id = "in-2" if password else "in-1"
        session.provide_input("asked", input_id, "faster")
        return "slower"

    assert session.run(ASKING, input=too_late, operation_id="asked").ok
    assert list(server.replies.values()) == ["faster", "faster"]
    with pytest.raises(reasons.NotWaitingForInput):
        session.provide_input("asked", "in-1", "again")


def test_an_answer_whose_receipt_was_lost_is_given_again(server: FakeServer, client: Client) -> None:
    """A question is answered once, however often that is said; a broken stream asks no question twice."""
    server.sabotage["ProvideInput"].append(Refuse(grpc.StatusCode.UNAVAILABLE))
    server.sabotage["Execute"].append(BreakAfter(2))
    prompts: list[str] = []

    def answer(prompt: str, password: bool) -> str:
        prompts.append(prompt)
        return "x"

    assert client.session().run(ASKING, input=answer).ok
    assert prompts == ["name? ", "key: "]
    assert len(server.called("ProvideInput")) == 3


def test_questions_in_a_stream_are_answered_by_hand(server: FakeServer, client: Client) -> None:
    """Who reads events answers them when it likes."""
    execution = client.session().execute(ASKING, allow_input=True)
    for event in execution:
        if isinstance(event, InputRequested):
            execution.provide_input(event.input_id, f"to {event.prompt}")
    assert list(server.replies.values()) == ["to name? ", "to key: "]


async def test_an_async_callback_may_be_awaited_or_plain(
    server: FakeServer, async_client: AsyncClient
) -> None:
    """Both kinds answer alike."""

    async def answer(prompt: str, password: bool) -> str | None:
        await asyncio.sleep(0)
        return prompt.upper()

    session = await async_client.session()
    assert (await session.run(ASKING, input=answer)).value == "ok"
    assert (await session.run(ASKING, input=lambda prompt, password: None)).value == "ok"
    assert list(server.replies.values()) == ["NAME? ", "KEY: ", None, None]


async def test_what_an_async_callback_raises_cancels_and_comes_out(
    server: FakeServer, async_client: AsyncClient
) -> None:
    """As itself, not in a group."""

    async def refuse_to_answer(prompt: str, password: bool) -> str:
        raise LookupError(prompt)

    session = await async_client.session()
    with pytest.raises(LookupError, match="name"):
        await session.run(ASKING, input=refuse_to_answer)
    assert len(server.called("CancelOperation")) == 1
    server.cancelled.clear()
    server.sabotage["ProvideInput"].append(Refuse(grpc.StatusCode.ABORTED, "SANDBOX_LOST"))
    with pytest.raises(reasons.SandboxLost):
        await session.run(ASKING, input=lambda prompt, password: "x")


async def test_an_async_callback_ends_with_its_operation(
    server: FakeServer, async_client: AsyncClient
) -> None:
    """Whoever is still asked when the code was stopped is not asked any more."""
    asked, ended = asyncio.Event(), asyncio.Event()

    async def never(prompt: str, password: bool) -> str:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    session = await async_client.session()
    running = asyncio.create_task(session.run(ASKING, input=never, operation_id="asked"))
    await asked.wait()
    await session.cancel("asked")
    assert (await running).ok  # the program's end; the real server would say CANCELLED
    assert ended.is_set()


async def test_a_failing_stream_ends_the_questions_and_is_the_error(
    server: FakeServer, async_client: AsyncClient
) -> None:
    """As itself, not in a group."""

    async def never(prompt: str, password: bool) -> str:
        await asyncio.Event().wait()
        return ""

    server.sabotage["Execute"].append(BreakAfter(2))
    server.sabotage["WatchOperation"].append(Refuse(grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND"))
    session = await async_client.session()
    with pytest.raises(errors.NotFound):
        await session.run(ASKING, input=never)
