"""What user code asks reaches whoever listens, and is answered once."""

from __future__ import annotations

from typing import Any

import pytest
from sandbank.v1.execution_pb2 import InputRequest, Operation
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Connection, seconds


async def question(session: Connection, operation_id: str, number: int = 1) -> InputRequest:
    """Wait for a question of an operation, counted from 1."""
    while True:
        asked = [
            event.input_request
            for event in session.events.get(operation_id, [])
            if event.WhichOneof("event") == "input_request"
        ]
        if len(asked) >= number:
            return asked[number - 1]
        await session.take()


async def answer(session: Connection, operation_id: str, input_id: str, text: str | None = "") -> str:
    """Answer; return the reason of a refusal, or nothing."""
    given: dict[str, Any] = {"end_of_file": True} if text is None else {"text": text}
    reply = await session.ask(
        provide_input=pb.ProvideInput(operation_id=operation_id, input_id=input_id, **given)
    )
    return reply.failure.reason


async def state(session: Connection, operation_id: str) -> int:
    """Return the state of an operation as it is now."""
    reply = await session.ask(get_operation=pb.GetOperation(operation_id=operation_id))
    return Operation.FromString(reply.operation).state


async def test_a_question_is_an_event_and_is_answered_once(session: Connection):
    """WAITING_FOR_INPUT until then, RUNNING after; the second answer is refused."""
    session.submit(
        "a", "print('before')\nname = input('name? ')\ninput(); name", allow_input=True, timeout=60
    )
    asked = await question(session, "a")
    assert (asked.prompt, asked.password) == ("name? ", False)
    assert session.output("a") == b"before\n"
    assert await state(session, "a") == Operation.STATE_WAITING_FOR_INPUT
    assert await answer(session, "a", asked.input_id, "Ada ä") == ""
    assert await answer(session, "a", asked.input_id, "again") == "NOT_WAITING_FOR_INPUT"
    second = await question(session, "a", 2)
    assert await answer(session, "a", second.input_id) == ""
    operation = await session.finished("a")
    assert operation.result["text/plain"] == "'Ada ä'".encode()
    assert operation.state == Operation.STATE_SUCCEEDED
    assert await answer(session, "a", second.input_id) == "NOT_WAITING_FOR_INPUT"


async def test_an_answered_operation_runs(session: Connection):
    """It is shown as running once it has all that it asked for."""
    session.submit("a", "input()\nprint('on', flush=True)\nimport time\ntime.sleep(600)", allow_input=True)
    asked = await question(session, "a")
    await answer(session, "a", asked.input_id)
    await session.until("a", "output")
    assert await state(session, "a") == Operation.STATE_RUNNING
    await session.ask(cancel=pb.Cancel(operation_id="a"))
    await session.finished("a")


async def test_the_end_of_file_is_an_answer(session: Connection):
    """EOFError in the code; passwords are told apart."""
    session.submit("a", "import getpass\ngetpass.getpass('key: ')", allow_input=True)
    asked = await question(session, "a")
    assert (asked.prompt, asked.password) == ("key: ", True)
    assert await answer(session, "a", asked.input_id, None) == ""
    assert (await session.finished("a")).error.type_name == "EOFError"


async def test_without_leave_there_is_no_question(session: Connection):
    """``allow_input`` is off unless it is asked for."""
    assert (await session.run("a", "input('? ')")).error.type_name == "EOFError"
    assert all(event.WhichOneof("event") != "input_request" for event in session.events["a"])


async def test_who_does_not_wait_is_not_answered(session: Connection):
    """An operation that is not known, queued, computing, or that waits for another question."""
    assert await answer(session, "none", "1") == "OPERATION_NOT_FOUND"
    session.submit("a", "input()", allow_input=True)
    session.submit("b", "input()", allow_input=True)
    asked = await question(session, "a")
    for wrong in ("99", "", "x", "0", f"0{asked.input_id}", f" {asked.input_id}", "١", "9" * 40):
        assert await answer(session, "a", wrong) == "NOT_WAITING_FOR_INPUT"
    assert await answer(session, "b", asked.input_id) == "NOT_WAITING_FOR_INPUT"
    assert await answer(session, "a", asked.input_id) == ""
    assert await answer(session, "b", (await question(session, "b")).input_id) == ""
    assert (await session.finished("b")).state == Operation.STATE_SUCCEEDED


async def test_a_cancel_ends_the_wait_softly(session: Connection):
    """CANCELLED with what ran before it; the session goes on with its state, and the late answer is refused."""
    session.submit("a", "x = 1\ninput('forever? ')", allow_input=True)
    asked = await question(session, "a")
    await session.ask(cancel=pb.Cancel(operation_id="a"))
    operation = await session.finished("a")
    assert (operation.state, operation.outcome) == (Operation.STATE_CANCELLED, Operation.OUTCOME_PARTIAL)
    assert operation.error.type_name == "KeyboardInterrupt"
    assert await answer(session, "a", asked.input_id, "late") == "NOT_WAITING_FOR_INPUT"
    assert (await session.run("b", "x")).result["text/plain"] == b"1"
    assert session.all_told("interpreter_replaced") == []


async def test_the_clock_of_the_timeout_runs_on(session: Connection):
    """Whoever asks people gives a longer timeout: a wait ends with it."""
    session.submit("a", "input()", allow_input=True, timeout=0.3)
    await question(session, "a")
    operation = await session.finished("a")
    assert (operation.state, operation.outcome) == (Operation.STATE_TIMED_OUT, Operation.OUTCOME_PARTIAL)
    assert 0.3 <= operation.usage.wall_time.ToNanoseconds() / 1e9 < 2
    assert operation.usage.cpu_time.ToNanoseconds() / 1e9 < 0.2


async def test_code_that_gave_up_waits_no_longer(session: Connection):
    """A question that an exception ended is over: the operation runs, and an answer comes too late."""
    session.submit(
        "a",
        "import signal\nclass Late(Exception): pass\ndef late(*_): raise Late\n"
        "signal.signal(signal.SIGALRM, late)\nsignal.setitimer(signal.ITIMER_REAL, 0.05)\n"
        "try:\n    input('quick!')\nexcept Late:\n    print('late')\nwhile True: pass",
        allow_input=True,
    )
    asked = await question(session, "a")
    await session.until("a", "output")
    assert await state(session, "a") == Operation.STATE_RUNNING
    assert await answer(session, "a", asked.input_id) == "NOT_WAITING_FOR_INPUT"
    await session.ask(cancel=pb.Cancel(operation_id="a"))
    await session.finished("a")


async def test_threads_wait_beside_each_other(session: Connection):
    """Each question is answered by its own id; the operation waits while any is open."""
    code = (
        "import threading\ngot = {}\ndef ask(n): got[n] = input(str(n))\n"
        "threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]\n"
        "for t in threads: t.start()\nfor t in threads: t.join()\nsorted(got.items())"
    )
    session.submit("a", code, allow_input=True)
    asked = [await question(session, "a", number) for number in (1, 2, 3, 4)]
    for each in asked:
        assert await state(session, "a") == Operation.STATE_WAITING_FOR_INPUT
        assert await answer(session, "a", each.input_id, f"for {each.prompt}") == ""
    expected = [(n, f"for {n}") for n in range(4)]
    assert (await session.finished("a")).result["text/plain"] == repr(expected).encode()


async def test_another_control_plane_answers(start: Start):
    """One that comes later finds the question in the journal, and its answer arrives."""
    async with start() as sandbox:
        first = await sandbox.session()
        first.submit("a", "input('still there? ')", allow_input=True)
        await question(first, "a")
        await first.close()
        second = await sandbox.connect()
        page = (await second.ask(fetch=pb.Fetch(operation_id="a"))).page
        assert len(page.events) == 2
        assert await state(second, "a") == Operation.STATE_WAITING_FOR_INPUT
        assert await answer(second, "a", "1", "yes") == ""
        assert (await second.finished("a")).result["text/plain"] == b"'yes'"


async def test_a_long_answer_arrives(session: Connection):
    """Up to 1 MiB, whatever the code is doing when it comes."""
    session.submit("a", "a = input()\nlen(a)", allow_input=True)
    asked = await question(session, "a")
    assert await answer(session, "a", asked.input_id, "x" * (1 << 20)) == ""
    assert (await session.finished("a")).result["text/plain"] == b"1048576"


@pytest.mark.parametrize("message", [{}, {"text": "x" * ((1 << 20) + 1)}], ids=["nothing", "too long"])
async def test_what_no_control_plane_would_send_ends_the_connection(start: Start, message: dict[str, str]):
    """It checks its callers' answers itself; the operation still waits, and the next connection can answer."""
    async with start() as sandbox:
        session = await sandbox.session()
        session.submit("a", "input()", allow_input=True)
        asked = await question(session, "a")
        session.send(1, provide_input=pb.ProvideInput(operation_id="a", input_id=asked.input_id, **message))
        with pytest.raises(EOFError):
            await session.take()
        again = await sandbox.connect()
        assert await answer(again, "a", asked.input_id) == ""
        assert (await again.finished("a")).state == Operation.STATE_SUCCEEDED


ASK = (
    "name = NAME\nsend = interpreter.channel.send\n"
    "def ask(number, **more):\n"
    "    send({'type': 'input_request', 'operation': name, 'input_id': number, **more})\n"
)


def _asking(operation_id: str) -> str:
    return ASK.replace("NAME", repr(operation_id))


def _kinds(session: Connection, operation_id: str) -> list[str]:
    return [str(event.WhichOneof("event")) for event in session.events[operation_id]]


async def test_malformed_questions_are_dropped(start: Start):
    """Wrong types, numbers used before, and questions of operations that may not ask: nobody is told of them."""
    code = _asking("a") + (
        "for number in (None, 0, -1, True, 1.5, '1', [1], 2**60): ask(number)\n"
        "ask(1, prompt=7)\nask(1, password='yes')\n"
        "ask(5, prompt='good', password=True)\nask(5)\nask(4)\n"
        "for number in (None, '5', 4, 6, True, [5]):\n"
        "    send({'type': 'input_withdrawn', 'operation': 'a', 'input_id': number})\n"
    )
    async with start("Honest") as sandbox:
        session = await sandbox.session()
        await session.run("a", code, allow_input=True)
        assert _kinds(session, "a") == ["started", "input_request", "finished"]
        asked = await question(session, "a")
        assert (asked.input_id, asked.prompt, asked.password) == ("5", "good", True)
        await session.run("b", _asking("b") + "ask(1, prompt='may I?')")
        assert _kinds(session, "b") == ["started", "finished"]


async def test_prompts_are_cut(start: Start):
    """64 KiB of UTF-8 whatever was sent, and no half characters."""
    code = _asking("a") + "ask(1, prompt='x' * 10**6)\nask(2, prompt='€' * 10**5)\nask(3, prompt='\\ud800')"
    async with start("Honest") as sandbox:
        session = await sandbox.session()
        await session.run("a", code, allow_input=True)
        prompts = [(await question(session, "a", number)).prompt for number in (1, 2, 3)]
        assert prompts == ["x" * 65536, "€" * (65536 // 3), "\\ud800"]


async def test_questions_are_bounded(start: Start):
    """128 open at once and 4096 unanswered: a flood of them ends as an operation that waits, and times out."""
    code = _asking("a") + ("for number in range(1, 1000): ask(number)\nimport time\ntime.sleep(600)\n")
    async with start("Honest") as sandbox:
        session = await sandbox.session(interrupt_grace=seconds(0.2))
        operation = await session.run("a", code, allow_input=True, timeout=1.0)
        assert operation.state == Operation.STATE_TIMED_OUT
        assert _kinds(session, "a").count("input_request") == 128
        code = _asking("b") + (
            "for number in range(1, 6000):\n    ask(number)\n"
            "    send({'type': 'input_withdrawn', 'operation': 'b', 'input_id': number})\n"
        )
        await session.run("b", code, allow_input=True)
        assert _kinds(session, "b").count("input_request") == 4096
