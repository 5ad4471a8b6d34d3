"""Files of a session whose sandbox refuses, lies, hangs up or forges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from sandbank.v1 import session_pb2
from sandbank_runner.v1 import runner_pb2
from sandbank_server.errors import (
    BadFieldError,
    ChecksumMismatchError,
    FileNotFoundInWorkspaceError,
    SessionBusyError,
    SessionCrashedError,
    WorkspaceFullError,
)
from sandbank_server.sessions.contents import files as session_files
from sandbank_server.sessions.contents.files import SessionFiles, Upload
from sandbank_server.sessions.life.session import Session

from tests.fakes.session_world import World, state_of, until
from tests.fakes.supervisor_saboteur import Wire

State = session_pb2.Session
Entry = runner_pb2.FileEntry


async def chunks(*data: bytes) -> AsyncIterator[bytes]:
    """Yield the pieces of an upload."""
    for each in data:
        yield each


def answering(**reply: object) -> Callable[[Wire], Awaitable[None]]:
    """Return a file service that gives one answer to whatever it is asked."""

    async def serve(wire: Wire) -> None:
        await wire.receive()
        wire.send(file_reply=runner_pb2.FileReply(**reply))

    return serve


async def session_with(made: World, serve: Callable[[Wire], Awaitable[None]]) -> Session:
    """Return a session whose file connections are served so."""
    session = await made.create()
    made.sandbox_of(session).files = serve
    return session


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("FILE_NOT_FOUND", FileNotFoundInWorkspaceError),
        ("WORKSPACE_FULL", WorkspaceFullError),
        ("CHECKSUM_MISMATCH", ChecksumMismatchError),
        ("BAD_FIELD", BadFieldError),
        ("NO_SUCH_REASON", SessionBusyError),
    ],
)
async def test_a_refusal_is_told_by_its_reason(made: World, reason: str, error: type[Exception]) -> None:
    """One that is not known says no more than that it did not work."""
    failure = runner_pb2.Failure(reason=reason, message="it says")
    session = await session_with(made, answering(failure=failure))
    with pytest.raises(error):
        await SessionFiles(session).stat("f")
    assert session.view().state == State.STATE_ACTIVE


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../b", "x\0y", "x" * 5000])
async def test_a_path_that_cannot_be_is_refused_before_the_sandbox_is_asked(made: World, path: str) -> None:
    """For every use."""
    session = await made.create()
    files = SessionFiles(session)
    for use in (files.stat(path), files.delete(path, recursive=True), files.make_directory(path)):
        with pytest.raises(BadFieldError):
            await use
    assert made.sandbox_of(session).dials == 1


@pytest.mark.parametrize(
    "entry",
    [
        Entry(path="f", size_bytes=-1),
        Entry(path="x" * 20_000),
        Entry(path="f", mode=0o1000000),
        Entry(path="f", sha256="no hash"),
        Entry(path="f", modify_time={"nanos": -1}),
        Entry(path="f", modify_time={"seconds": -(10**11)}),
        Entry(path="f", modify_time={"seconds": 10**12}),
    ],
)
async def test_a_forged_entry_ends_the_sandbox(made: World, entry: Entry) -> None:
    """Nothing that no client could read is forwarded."""
    session = await session_with(made, answering(info=entry))
    with pytest.raises(SessionBusyError):
        await SessionFiles(session).stat("f")
    await state_of(session, State.STATE_CRASHED)


async def test_pieces_that_are_too_large_or_come_unasked_end_the_sandbox(made: World) -> None:
    """They are not even queued."""
    session = await made.create()

    async def serve(wire: Wire) -> None:
        await wire.receive()
        wire.send(file_reply=runner_pb2.FileReply(info=Entry(path="f")))
        wire.send(file_chunk=runner_pb2.FileChunk(data=b"x" * 300_000))

    made.sandbox_of(session).files = serve
    with pytest.raises(SessionBusyError):
        async with SessionFiles(session).download("f", 0, 0) as (_, pieces):
            assert [piece async for piece in pieces] == []
    await state_of(session, State.STATE_CRASHED)


async def test_a_sandbox_that_hangs_up_costs_the_transfer_only(made: World) -> None:
    """The session lives, and another try may work."""
    session = await made.create()

    async def serve(wire: Wire) -> None:
        await wire.receive()
        wire.writer.transport.abort()

    made.sandbox_of(session).files = serve
    with pytest.raises(SessionBusyError):
        await SessionFiles(session).stat("f")
    assert session.view().state == State.STATE_ACTIVE
    made.sandbox_of(session).files = answering(info=Entry(path="f", size_bytes=3))
    assert (await SessionFiles(session).stat("f")).size_bytes == 3


async def test_trouble_of_our_own_is_no_fault_of_the_sandbox(
    made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No descriptors left: the call is refused, to be tried again, and nothing else happens."""
    session = await made.create()

    class Exhausted:
        def __init__(self, _endpoint: object) -> None:
            pass

        async def __aenter__(self):
            raise OSError(24, "Too many open files")

        async def __aexit__(self, *_exc: object) -> None:
            pass

    monkeypatch.setattr(session_files, "FileTransfer", Exhausted)
    with pytest.raises(SessionBusyError):
        await SessionFiles(session).stat("f")
    assert session.view().state == State.STATE_ACTIVE


async def test_what_came_in_is_remembered_until_it_is_deleted(made: World) -> None:
    """So that a crash can name it, under one name however it was written."""
    session = await made.create()

    async def serve(wire: Wire) -> None:
        request = await wire.receive()
        while request.WhichOneof("message") == "file_chunk" and not request.file_chunk.last:
            request = await wire.receive()
        if request.file.HasField("upload"):
            while not (await wire.receive()).file_chunk.last:
                pass
        wire.send(file_reply=runner_pb2.FileReply(info=Entry(path="f")))

    made.sandbox_of(session).files = serve
    files = SessionFiles(session)
    for path in ("a", "./a", "d//b", "d/c"):
        await files.upload(Upload(path), chunks(b"x"))
    assert list(session.operations.log.uploaded) == ["a", "d/b", "d/c"]
    await files.delete("d/", recursive=True)
    session.sandbox_lost("killed")
    assert list(session.view().last_recovery.lost_files) == ["a"]
    with pytest.raises(SessionCrashedError):
        await files.stat("a")


async def test_a_slow_transfer_is_use(made: World) -> None:
    """A file that takes longer than the idle timeout does not end the session under itself."""
    session = await made.create(idle_timeout=timedelta(seconds=5))
    made.sandbox_of(session).files = answering(info=Entry(path="f"))
    gate, begun = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        begun.set()
        await gate.wait()
        yield b"x"

    uploading = asyncio.create_task(SessionFiles(session).upload(Upload("f"), slow()))
    await begun.wait()
    made.clock.advance(60)
    await session.tick(made.clock.now())
    assert not session.ended
    gate.set()
    await uploading


async def test_an_upload_whose_sender_fails_is_called_off(made: World) -> None:
    """The sandbox sees the connection end before the last piece, and forgets it."""
    session = await made.create()
    ended = asyncio.Event()

    async def serve(wire: Wire) -> None:
        await wire.receive()
        try:
            while not (await wire.receive()).file_chunk.last:
                pass
        except asyncio.IncompleteReadError:
            ended.set()

    made.sandbox_of(session).files = serve

    async def failing() -> AsyncIterator[bytes]:
        yield b"x"
        raise BadFieldError.at("chunk", "not a chunk")

    with pytest.raises(BadFieldError):
        await SessionFiles(session).upload(Upload("f"), failing())
    await asyncio.wait_for(ended.wait(), 10)
    assert list(session.operations.log.uploaded) == []
    await until(lambda: session._uses == 0)
