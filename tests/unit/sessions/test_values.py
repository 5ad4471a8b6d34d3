"""Values on their way, with a sandbox that refuses, lies, says nothing or goes away, and clients that do."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from sandbank.v1 import state_pb2, variable_pb2
from sandbank_runner.v1 import runner_pb2
from sandbank_server.errors import (
    BadFieldError,
    DomainError,
    FormatUnavailableError,
    NoSuchTransactionError,
    OperationQueueFullError,
    SandboxLostError,
    SessionBusyError,
    SessionTerminatedError,
    TooLargeError,
    TransactionOpenError,
    VariableNotFoundError,
)
from sandbank_server.sessions.contents import values as session_values
from sandbank_server.sessions.contents.values import SessionValues, Target
from sandbank_server.sessions.life.session import Session

from tests.fakes.session_world import World, until
from tests.fakes.supervisor_saboteur import Wire

JSON = state_pb2.VALUE_FORMAT_JSON
TARGET = Target("x", "json", "json")
SEEN = {"type": "seen", "operation": "", "stale": True}
HEADER = {
    "type": "header",
    "name": "x",
    "type_name": "int",
    "size_bytes": 28,
    "shape": [],
    "dtype": "",
    "length": None,
    "preview": "1",
    "unsavable": "",
    "mime_type": "application/json",
}
END = {"type": "end"}
Said = dict[str, Any] | bytes
Talk = Callable[[Wire], Awaitable[None]]


def frame(said: Said) -> bytes:
    """Return a frame: a header, or a piece of a value."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return struct.pack(">Ic", len(body), b"D" if isinstance(said, bytes) else b"J") + body


def saying(*parts: Said, hang_up: bool = False) -> Talk:
    """Return what says something on its connection and nothing else."""

    async def talk(wire: Wire) -> None:
        for part in parts:
            wire.writer.write(frame(part))
        if hang_up:
            wire.writer.close()

    return talk


async def hear(wire: Wire) -> Said:
    """Return the next frame that the control plane says."""
    length, kind = struct.unpack(">Ic", await wire.reader.readexactly(5))
    body = await wire.reader.readexactly(length)
    found: Said = body if kind == b"D" else json.loads(body)
    return found


class Sandbox:
    """Stands for what works in a session's sandbox. ``answer``: the Reply to what it was asked."""

    def __init__(self, made: World, session: Session, kind: str) -> None:
        self.supervisor = made.sandbox_of(session)
        self.supervisor.holds.add(kind)
        self.heard: list[Said] = []
        self.whole = asyncio.Event()
        self.reply = runner_pb2.Reply()
        self.supervisor.answer = self._answer

    def _answer(self, request: runner_pb2.ToRunner, reply: runner_pb2.Reply) -> bool:
        if request.WhichOneof("message") in ("import_variable", "export_variable"):
            request_id = reply.request_id
            reply.CopyFrom(self.reply)
            reply.request_id = request_id
        return True

    async def take(self, wire: Wire) -> None:
        """Take a value in, then answer."""
        wire.writer.write(frame({"type": "importer"}))
        try:
            while True:
                self.heard.append(await hear(wire))
                if self.heard[-1] == END:
                    break
        except asyncio.IncompleteReadError:
            self.whole.set()
            return
        self.whole.set()
        self.supervisor.release()


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    """Yield what a client sends."""
    for part in parts:
        yield part


def change(**fields: Any) -> bytes:
    """Return what binding x has changed."""
    made = variable_pb2.VariableChange(name="x", kind="KIND_ADDED", type_name="int")
    made.MergeFrom(variable_pb2.VariableChange(**fields))
    return made.SerializeToString()


async def importing(made: World) -> tuple[Session, Sandbox]:
    """Return a session, and a sandbox that takes values in."""
    session = await made.create()
    sandbox = Sandbox(made, session, "import_variable")
    sandbox.supervisor.state = sandbox.take
    return session, sandbox


async def test_a_value_goes_in_by_pieces_that_fit(made: World) -> None:
    """Of a megabyte at most, in order, and its end."""
    session, sandbox = await importing(made)
    sandbox.reply.state.change = change()
    big = bytes(range(256)) * 10_000
    found = await SessionValues(session).bind(TARGET, pieces(b"[", big, b"]"))
    assert (found.name, found.kind) == ("x", variable_pb2.VariableChange.KIND_ADDED)
    *data, end = sandbox.heard
    assert end == END
    assert b"".join(each for each in data if isinstance(each, bytes)) == b"[" + big + b"]"
    assert max(len(each) for each in data) == 1 << 20
    (asked,) = [each.import_variable for each in sandbox.supervisor.asked if each.HasField("import_variable")]
    assert (asked.name, asked.format, asked.transaction_id, bool(asked.token)) == ("x", "json", "", True)


async def test_nothing_is_sent_before_its_turn(made: World) -> None:
    """The client's pieces are not even asked for: they would have to be kept."""
    session, sandbox = await importing(made)
    turn = asyncio.Event()

    async def later(wire: Wire) -> None:
        await turn.wait()
        await sandbox.take(wire)

    sandbox.supervisor.state = later
    asked_for = asyncio.Event()

    async def client() -> AsyncIterator[bytes]:
        asked_for.set()
        yield b"1"

    work = asyncio.ensure_future(SessionValues(session).bind(TARGET, client()))
    await until(lambda: bool(sandbox.supervisor.held))
    assert not asked_for.is_set()
    turn.set()
    await work
    assert asked_for.is_set()


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("BAD_FIELD", BadFieldError),
        ("FORMAT_UNAVAILABLE", FormatUnavailableError),
        ("TOO_LARGE", TooLargeError),
        ("SESSION_BUSY", SessionBusyError),
        ("TRANSACTION_OPEN", TransactionOpenError),
        ("NO_SUCH_TRANSACTION", NoSuchTransactionError),
        ("OPERATION_QUEUE_FULL", OperationQueueFullError),
        ("SESSION_TERMINATED", SessionBusyError),
        ("nonsense", SessionBusyError),
    ],
)
async def test_a_refusal_is_told_as_what_it_is(made: World, reason: str, error: type[DomainError]) -> None:
    """With one line of the sandbox's; what only the control plane may say becomes SESSION_BUSY."""
    session, sandbox = await importing(made)
    sandbox.reply.failure.CopyFrom(runner_pb2.Failure(reason=reason, message="it\nsays"))
    with pytest.raises(error) as caught:
        await SessionValues(session).bind(TARGET, pieces(b"1"))
    assert type(caught.value) is error
    if error is BadFieldError:
        assert [each.path for each in caught.value.violations] == ["json"]
    assert await session.usable()


async def test_a_refusal_in_the_middle_is_heard(made: World) -> None:
    """Although the connection broke under what was being sent."""
    session, sandbox = await importing(made)
    sandbox.reply.failure.CopyFrom(runner_pb2.Failure(reason="TOO_LARGE", message="too large"))

    async def gives_up(wire: Wire) -> None:
        wire.writer.write(frame({"type": "importer"}))
        await hear(wire)
        wire.writer.transport.abort()
        sandbox.supervisor.release()

    sandbox.supervisor.state = gives_up

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 100_000

    with pytest.raises(TooLargeError):
        await SessionValues(session).bind(TARGET, endless())


async def test_a_client_that_fails_or_stalls_binds_nothing(
    made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is closed without an end; what the client did is what is told."""
    monkeypatch.setattr(session_values, "IDLE_SECONDS", 0.05)
    never = asyncio.Event()

    async def fails() -> AsyncIterator[bytes]:
        yield b"1"
        raise BadFieldError.at("chunk", "no chunk")

    async def stalls() -> AsyncIterator[bytes]:
        yield b"1"
        await never.wait()

    for client, text in ((fails, "no chunk"), (stalls, "nothing came")):
        session, sandbox = await importing(made)
        with pytest.raises(BadFieldError, match=text):
            await SessionValues(session).bind(TARGET, client())
        await sandbox.whole.wait()
        assert END not in sandbox.heard


async def test_who_is_cancelled_before_the_end_binds_nothing(made: World) -> None:
    """And who is cancelled after it has bound: that counts as a change all the same."""
    never = asyncio.Event()
    begun = asyncio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        yield b"1"
        begun.set()
        await never.wait()

    session, sandbox = await importing(made)
    work = asyncio.ensure_future(SessionValues(session).bind(TARGET, stalls()))
    await begun.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await sandbox.whole.wait()
    assert END not in sandbox.heard

    session, sandbox = await importing(made)
    told = asyncio.Event()
    session.changed_outside = lambda: _set(told)  # type: ignore[method-assign]
    answered = asyncio.Event()

    async def later(wire: Wire) -> None:
        wire.writer.write(frame({"type": "importer"}))
        while await hear(wire) != END:
            pass
        sandbox.whole.set()
        await answered.wait()
        sandbox.supervisor.release()

    sandbox.supervisor.state = later
    work = asyncio.ensure_future(SessionValues(session).bind(TARGET, pieces(b"1")))
    await sandbox.whole.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not told.is_set()
    answered.set()
    sandbox.supervisor.release()
    async with asyncio.timeout(30):
        await told.wait()


async def _set(event: asyncio.Event) -> None:
    event.set()


async def test_in_a_transaction_it_is_no_change_yet(made: World) -> None:
    """Its commit is one."""
    session, sandbox = await importing(made)
    told = asyncio.Event()
    session.changed_outside = lambda: _set(told)  # type: ignore[method-assign]
    await SessionValues(session).bind(Target("x", "json", "json", transaction_id="tx"), pieces(b"1"))
    assert not told.is_set()
    await SessionValues(session).bind(TARGET, pieces(b"1"))
    assert told.is_set()
    assert sandbox.heard.count(END) == 2


@pytest.mark.parametrize("all_sent", [False, True])
async def test_a_sandbox_that_goes_away_is_told(made: World, all_sent: bool) -> None:
    """Before the end: nothing was bound. After it nobody knows."""
    session, sandbox = await importing(made)

    async def dies(wire: Wire) -> None:
        wire.writer.write(frame({"type": "importer"}))
        while all_sent and await hear(wire) != END:
            pass
        sandbox.supervisor.drop()
        wire.writer.transport.abort()

    sandbox.supervisor.state = dies

    async def client() -> AsyncIterator[bytes]:
        yield b"1"
        while not all_sent:
            yield b"x" * 100_000

    with pytest.raises(SandboxLostError if all_sent else SessionBusyError):
        await SessionValues(session).bind(TARGET, client())


async def test_the_end_of_the_session_ends_it(made: World) -> None:
    """As its state says."""
    session, sandbox = await importing(made)
    held = asyncio.Event()

    async def never(wire: Wire) -> None:
        held.set()
        await wire.reader.read()

    sandbox.supervisor.state = never
    work = asyncio.ensure_future(SessionValues(session).bind(TARGET, pieces(b"1")))
    await held.wait()
    await session.terminate("deleted")
    with pytest.raises(SessionTerminatedError):
        await work


LIES: dict[str, bytes] = {
    "another name": change(name="y"),
    "removed": change(kind="KIND_REMOVED"),
    "no message": b"\xff\xff",
    "too many words": change(preview="x" * 5000),
    "too large": change(detail="x" * 100_000),
    "impossible": change(size_bytes=-1),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_a_change_that_cannot_be_is_not_passed_on(made: World, lie: bytes) -> None:
    """It costs the request, and nothing else."""
    session, sandbox = await importing(made)
    sandbox.reply.state.change = lie
    with pytest.raises(SessionBusyError):
        await SessionValues(session).bind(TARGET, pieces(b"1"))
    assert await session.usable()


async def exported(session: Session, max_bytes: int = 0) -> tuple[state_pb2.ExportVariableHeader, bytes]:
    """Export x."""
    async with SessionValues(session).export("", "x", JSON, max_bytes) as (header, found):
        return header, b"".join([piece async for piece in found])


async def exporting(made: World, *said: Said, hang_up: bool = False) -> tuple[Session, Sandbox]:
    """Return a session, and a sandbox that says so to who asks for a value; its Reply comes at once after that."""
    session = await made.create()
    sandbox = Sandbox(made, session, "export_variable")
    speak = saying(*said, hang_up=hang_up)

    async def talk(wire: Wire) -> None:
        await speak(wire)
        await until(lambda: bool(sandbox.supervisor.held))
        sandbox.supervisor.release()

    sandbox.supervisor.state = talk
    return session, sandbox


async def test_a_value_goes_out_as_it_comes(made: World) -> None:
    """Described, with the state that it is of."""
    session, _ = await exporting(made, SEEN, {**HEADER, "shape": [2, 3], "length": 2}, b"[1", b"]", END)
    header, data = await exported(session)
    assert data == b"[1]"
    assert (header.mime_type, header.as_of.stale, header.as_of.operation_id) == ("application/json", True, "")
    described = header.variable
    assert (described.name, list(described.shape), described.length) == ("x", [2, 3], 2)
    assert (described.serializable, described.size_bytes, described.preview) == (True, 28, "1")


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("missing", VariableNotFoundError),
        ("format", FormatUnavailableError),
        ("failed", FormatUnavailableError),
        ("too_large", TooLargeError),
        (7, FormatUnavailableError),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
async def test_what_a_reader_refuses_is_told(
    made: World, reason: object, error: type[DomainError], begun: bool
) -> None:
    """Also after the first pieces."""
    refused = {"type": "refused", "reason": reason, "message": "it\nsays"}
    session, _ = await exporting(made, SEEN, *((HEADER, b"1") if begun else ()), refused)
    with pytest.raises(error):
        await exported(session, 100)


@pytest.mark.parametrize("reason", ["NO_SUCH_TRANSACTION", "SESSION_BUSY", "FORMAT_UNAVAILABLE", "TOO_LARGE"])
async def test_what_the_supervisor_refuses_is_told(made: World, reason: str) -> None:
    """Before anything was said, or when it has ended what was being said."""
    errors = {
        each.reason: each
        for each in (NoSuchTransactionError, SessionBusyError, FormatUnavailableError, TooLargeError)
    }
    for said in ((), (SEEN, HEADER, b"1")):
        session, sandbox = await exporting(made, *said, hang_up=True)
        sandbox.reply.failure.CopyFrom(runner_pb2.Failure(reason=reason, message="why"))
        with pytest.raises(errors[reason]):
            await exported(session)


BAD: dict[str, tuple[Said, ...]] = {
    "no state": (HEADER,),
    "a state that is not known": ({**SEEN, "operation": "op"}, HEADER),
    "a state that is none": ({**SEEN, "operation": 7}, HEADER),
    "another variable": (SEEN, {**HEADER, "name": "y"}),
    "no variable": (SEEN, {"type": "header"}),
    "a size that is none": (SEEN, {**HEADER, "size_bytes": -1}),
    "a size beyond all": (SEEN, {**HEADER, "size_bytes": 10**30}),
    "a shape that is none": (SEEN, {**HEADER, "shape": ["x"]}),
    "too many dimensions": (SEEN, {**HEADER, "shape": [1] * 65}),
    "too many words": (SEEN, {**HEADER, "preview": "x" * 3000}),
    "words that are none": (SEEN, {**HEADER, "preview": {}}),
    "no UTF-8": (SEEN, {**HEADER, "preview": "\ud800"}),
    "a type that is none": (SEEN, {**HEADER, "mime_type": "a\nb"}),
    "a piece first": (SEEN, b"1"),
    "a second header": (SEEN, HEADER, HEADER, END),
    "more than asked for": (SEEN, HEADER, b"x" * 101, END),
}


@pytest.mark.parametrize("said", BAD.values(), ids=BAD)
async def test_what_cannot_be_is_not_passed_on(made: World, said: tuple[Said, ...]) -> None:
    """It costs the request; the session lives on."""
    session, _ = await exporting(made, *said)
    with pytest.raises(SessionBusyError):
        await exported(session, 100)
    assert await session.usable()


async def test_whoever_takes_nothing_for_too_long_ends_it(
    made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox is let go of; what was not taken is not kept."""
    monkeypatch.setattr(session_values, "IDLE_SECONDS", 0.05)
    session = await made.create()
    sandbox = Sandbox(made, session, "export_variable")
    let_go = asyncio.Event()

    async def endless(wire: Wire) -> None:
        try:
            wire.writer.write(frame(SEEN) + frame(HEADER))
            while True:
                wire.writer.write(frame(b"x" * 1_000_000))
                await wire.writer.drain()
        except ConnectionError:
            sandbox.reply.failure.CopyFrom(
                runner_pb2.Failure(reason="SESSION_BUSY", message="nobody listens")
            )
            sandbox.supervisor.release()
            let_go.set()

    sandbox.supervisor.state = endless

    async def listen_once() -> None:
        async with SessionValues(session).export("", "x", JSON, 0) as (_, found):
            async for _ in found:
                async with asyncio.timeout(30):
                    await let_go.wait()

    with pytest.raises(SessionBusyError):
        await listen_once()
