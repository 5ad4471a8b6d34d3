"""The Python client and the prompt against the real server, on each runtime: transactions, input, many at once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sandbank import AsyncClient, Client, ExecutionFailed, MergeConflict, Session, reasons
from sandbank.events import InputRequested, Output

from tests.server_process import ServerProcess
from tests.terminal import CONTROL_C, CONTROL_D, at_terminal

SWALLOWS = (
    "print('begun', flush=True)\n"
    "while True:\n    try:\n        while True: pass\n    except KeyboardInterrupt: pass"
)


def test_code_that_fails_is_undone_on_request(session: Session) -> None:
    """Deeply: what it changed in place is as before, and the result says so."""
    session.run("prices = {'tea': 3}")
    result = session.run("prices['tea'] = 0\nprices['gone'] += 1", on_failure="rollback", check=False)
    assert (result.state, result.outcome) == ("FAILED", "ROLLED_BACK")
    assert session.run("prices").value == {"tea": 3}
    kept = session.run("prices['tea'] = 0\nprices['gone'] += 1", check=False)
    assert (kept.outcome, session.run("prices").value) == ("PARTIAL", {"tea": 0})


def test_a_block_commits_or_rolls_back(session: Session) -> None:
    """Members see their own effects, others the state before; an error in the block undoes all of it."""
    session.run("x = [1]")
    with session.transaction() as tx:
        tx.run("x.append(2)")
        undone = tx.run("x.append(3); 1/0", on_failure="rollback", check=False)
        assert (undone.outcome, undone.transaction_id) == ("ROLLED_BACK", tx.transaction_id)
        assert (tx.get("x").value, session.get("x").value) == ([1, 2], [1])
        with pytest.raises(reasons.TransactionOpen):
            session.run("x")
    assert session.run("x").value == [1, 2]

    def fail() -> None:
        with session.transaction() as tx:
            tx.run("x.append(4)")
            tx.run("import os; os.abort()")

    with pytest.raises(ExecutionFailed, match="SIGABRT"):
        fail()
    assert session.run("x").value == [1, 2]
    assert session.refresh().open_transaction_id == ""


def test_files_return_with_the_state(session: Session) -> None:
    """Where the transaction was begun so."""
    session.files.upload(b"before", "kept.txt")

    def fail() -> None:
        with session.transaction(include_files=True) as tx:
            tx.run("open('kept.txt', 'w').write('after'); open('new.txt', 'w').close()")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [file.path for file in session.files.list()] == ["kept.txt"]
    assert session.files.download("kept.txt") == b"before"
    changed = session.run("open('new.txt', 'w').close()").files_changed
    assert [change.path for change in changed] == ["new.txt"]


def test_leaving_a_block_by_an_error_stops_what_runs_in_it(session: Session) -> None:
    """Also code that does not let itself be interrupted."""

    def fail() -> None:
        with session.transaction() as tx:
            tx.run("y = 1")
            for event in tx.stream(SWALLOWS):
                if isinstance(event, Output):
                    raise KeyError

    with pytest.raises(KeyError) as caught:
        fail()
    assert getattr(caught.value, "__notes__", []) == []
    assert session.run("'y' in globals()").value is False


def test_a_session_goes_back_in_its_history(client: Client) -> None:
    """As far as it was given one."""
    with client.session(template="slim", history=3) as session:
        ids = [session.run(f"k = {number}").operation.operation_id for number in range(3)]
        session.rewind(ids[0])
        assert session.run("k").value == 0
        with pytest.raises(reasons.SnapshotGone):
            session.rewind(ids[2])


def test_questions_are_answered_by_a_callback(session: Session) -> None:
    """Prompt and secrecy are handed on; None is the end; without a callback there is nobody to ask."""
    asked: list[tuple[str, bool]] = []

    def answer(prompt: str, password: bool) -> str | None:
        asked.append((prompt, password))
        return "" if password else "Ada"

    code = "import getpass\n(input('name? '), getpass.getpass('key: '))"
    assert session.run(code, input=answer).text == "('Ada', '')"
    assert asked == [("name? ", False), ("key: ", True)]
    for options in ({}, {"input": lambda prompt, password: None}):
        with pytest.raises(ExecutionFailed, match="EOFError"):
            session.run("input()", **options)  # type: ignore[arg-type]


def test_what_the_callback_raises_stops_the_code(session: Session) -> None:
    """And comes out; the session goes on."""

    def fail(prompt: str, password: bool) -> str:
        raise LookupError(prompt)

    with pytest.raises(LookupError, match="q"):
        session.run("input('q')", input=fail, operation_id="asked")
    assert session.watch("asked").result(check=False).state == "CANCELLED"
    assert session.run("1 + 1").value == 2


async def test_an_async_question_ends_with_its_operation(server: ServerProcess) -> None:
    """A timeout while it is asked cancels the asking."""
    ended = asyncio.Event()

    async def never(prompt: str, password: bool) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    async with AsyncClient(server.address) as client, client.session(template="slim") as session:
        result = await session.run("input()", input=never, timeout=0.3, check=False)
        assert (result.state, ended.is_set()) == ("TIMED_OUT", True)
        async with session.transaction() as tx:
            await tx.run("x = 1")
        assert (await session.get("x")).value == 1
        assert [variable.name async for variable in session.variables()] == ["x"]


def test_many_operations_share_a_stream(session: Session) -> None:
    """In order; input, cancellation and refusals go to the right one."""
    with session.interact() as stream:
        sent = [stream.execute(f"v = {number}; v") for number in range(20)]
        assert [execution.result().value for execution in sent] == list(range(20))
        asking = stream.execute("input('? ')", allow_input=True)
        behind = stream.execute("v")
        for event in asking:
            if isinstance(event, InputRequested):
                asking.provide_input(event.input_id, "answer")
        assert (asking.result().value, behind.result().value) == ("answer", 19)
        stopped = stream.execute(SWALLOWS, on_failure="rollback")
        next(event for event in stopped if isinstance(event, Output))
        stopped.cancel()
        assert stopped.result(check=False).state == "CANCELLED"
        with pytest.raises(reasons.BadField) as caught:
            stream.run("1", timeout=-1)
        assert [violation.field for violation in caught.value.violations] == ["execute.timeout"]
        assert stream.run("v").value == 19


async def test_operations_beside_each_other_ask_beside_each_other(server: ServerProcess) -> None:
    """All wait at once, and each gets its own answer, on streams of their own and on one for all."""
    everybody = asyncio.Barrier(4)

    async def answer(prompt: str, password: bool) -> str:
        await everybody.wait()
        return prompt.upper()

    async with AsyncClient(server.address) as client, client.session(template="slim") as session:
        codes = [f"input('question {number}')" for number in range(4)]
        for scope in (session, session.interact()):
            running = [scope.run(code, input=answer, isolation="namespace") for code in codes]
            values = [result.value for result in await asyncio.gather(*running)]
            assert values == [f"QUESTION {number}" for number in range(4)]


async def test_operations_beside_each_other_conflict_loudly(server: ServerProcess) -> None:
    """The one that ends second merges nothing, and its result raises."""
    async with AsyncClient(server.address) as client, client.session(template="slim") as session:
        await session.run("import threading; gate = threading.Event(); total = 0")
        slow = session.execute("total += 1; print('read', flush=True); gate.wait()", isolation="namespace")
        async for event in slow:
            if isinstance(event, Output):
                await session.run("total = 10; gate.set()", isolation="namespace")
        with pytest.raises(MergeConflict) as caught:
            await slow.result()
        assert (caught.value.result.conflicting_names, caught.value.result.outcome) == (
            ["total"],
            "ROLLED_BACK",
        )
        assert (await session.run("total")).value == 10


def test_a_stream_outlives_its_server(session: Session, server: ServerProcess) -> None:
    """Killed and started again, it goes on: nothing lost, nothing twice, in order."""
    with session.interact() as stream:
        sent = [
            stream.execute(f"import time\nfor i in range(3): print({n}, i, flush=True); time.sleep(0.2)")
            for n in range(3)
        ]
        events = iter(sent[0])
        next(event for event in events if isinstance(event, Output))
        address = server.address
        server.kill()
        server.start(listen=address)
        outputs = ["".join(event.data.decode() for event in events if isinstance(event, Output))]
        assert outputs[0].endswith("0 2\n")
        for number, execution in enumerate(sent[1:], 1):
            assert execution.result().stdout == "".join(f"{number} {i}\n" for i in range(3))
    assert len(list(session.operations())) == 3


def test_the_prompt_at_a_terminal(server: ServerProcess, tmp_path: Path) -> None:
    """A transaction, a question, a password, an endless loop that swallows interrupts, a rewind, and out."""
    environment = {"SANDBANK_ADDRESS": server.address, "XDG_STATE_HOME": str(tmp_path)}
    with at_terminal("repl", "--template", "slim", environment=environment) as terminal:
        terminal.expect("[1] >>> ")
        terminal.line("x = 1")
        terminal.expect("[2] >>> ")
        terminal.line(":begin")
        terminal.expect("[2 tx] >>> ")
        terminal.line("x = 2; x")
        terminal.expect("2\n[3 tx] >>> ")
        terminal.line(":rollback")
        terminal.expect("rolled back\n[2] >>> ")
        terminal.line("x, input('na' 'me? ')")
        terminal.expect("name? ")
        terminal.line("Ada")
        terminal.expect("(1, 'Ada')\n[3] >>> ")
        terminal.line("import getpass; len(getpass.getpass('ke' 'y: '))")
        terminal.expect("key: ")
        terminal.line("secret")
        terminal.expect("6\n[4] >>> ")
        terminal.line(f"exec({SWALLOWS!r})")
        terminal.expect("begun\n")
        terminal.type(CONTROL_C)
        terminal.expect("CANCELLED")
        terminal.expect(" >>> ")
        terminal.line("x = 5")
        terminal.expect(" >>> ")
        terminal.line("x = 6")
        terminal.expect(" >>> ")
        terminal.line(":rewind")
        terminal.expect("as after execution")
        terminal.expect(" >>> ")
        terminal.line(":vars x")
        assert terminal.expect(" >>> ").split()[-1].startswith("[")
        terminal.line("x")
        terminal.expect("5\n")
        terminal.expect(" >>> ")
        terminal.type(CONTROL_D)
        assert terminal.end() == 0
        assert "secret" not in terminal.seen


def test_a_script_piped_into_the_prompt(server: ServerProcess, tmp_path: Path) -> None:
    """Without prompts; questions read on in the script."""
    script = (
        "x = 20\ndef f(n):\n    return n + 1\n\n"
        ":begin\nx = 0\n:rollback\nint(input('? ')) + f(x)\n21\nif x:\n    print('end')"
    )
    done = subprocess.run(
        [sys.executable, "-m", "sandbank", "repl", "--template", "slim"],
        env={**os.environ, "SANDBANK_ADDRESS": server.address, "XDG_STATE_HOME": str(tmp_path)},
        input=script,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout.splitlines()) == (0, ["? ", "42", "end"]), done.stderr
