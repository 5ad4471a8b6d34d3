"""The door of the supervisor: who is let in, who is turned away, and that nobody's mistake costs another anything."""

from __future__ import annotations

import asyncio
import os
import struct

import pytest
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start


async def test_it_says_who_it_is(start: Start):
    """Hello comes unasked, on every connection, with what is known by then."""
    async with start(sandbox_id="sb-abc") as sandbox:
        first = await sandbox.connect()
        assert first.hello.protocol_version == 1
        assert first.hello.sandbox_id == "sb-abc"
        assert first.hello.session_id == ""
        assert first.hello.python_version.count(".") == 2
        assert first.hello.figures["interpreter_ready_ms"] >= 0
        assert first.hello.figures["template_ready_ms"] > 0
        await first.ask(assign=pb.Assign(session_id="s"))
        second = await sandbox.connect()
        assert second.hello.session_id == "s"
        assert second.hello.boot_id == first.hello.boot_id


OPEN = pb.Open(protocol_version=1, purpose=pb.PURPOSE_CONTROL)


@pytest.mark.parametrize(
    "opening",
    [
        pb.ToRunner(open=pb.Open(protocol_version=2, purpose=pb.PURPOSE_CONTROL)),
        pb.ToRunner(open=pb.Open(protocol_version=0, purpose=pb.PURPOSE_CONTROL)),
        pb.ToRunner(open=pb.Open(protocol_version=1)),
        pb.ToRunner(ping=pb.Ping()),
        pb.ToRunner(),
    ],
    ids=["version 2", "version 0", "no purpose", "ping first", "nothing"],
)
async def test_who_does_not_open_as_agreed_is_turned_away(start: Start, opening: pb.ToRunner):
    """Only version 1 with a purpose is served, and nobody else suffers."""
    async with start() as sandbox:
        session = await sandbox.session()
        stranger = await sandbox.connect(greet=False)
        data = opening.SerializeToString()
        stranger.writer.write(struct.pack(">I", len(data)) + data)
        with pytest.raises(EOFError):
            await stranger.read()
        assert (await session.ask(ping=pb.Ping())).HasField("pong")


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xff\xff\xff",
        struct.pack(">I", 20 * 1024 * 1024 + 1),
        struct.pack(">I", 4) + b"\xff\xff\xff\xff",
    ],
    ids=["largest length", "one too long", "no message"],
)
async def test_garbage_closes_only_its_connection(start: Start, garbage: bytes, opened: bool):
    """The sandbox and what it knows outlive any connection."""
    async with start() as sandbox:
        session = await sandbox.session()
        await session.run("a", "x = 1")
        stranger = await sandbox.connect(greet=opened)
        stranger.writer.write(garbage)
        with pytest.raises(EOFError):
            await stranger.read()
        again = await sandbox.connect()
        await again.run("b", "x + 1")
        assert dict(again.events["b"][-1].finished.operation.result)["text/plain"] == b"2"


async def test_the_newer_control_connection_replaces_the_older(start: Start):
    """A control plane that was killed may have left one half-open."""
    async with start() as sandbox:
        older = await sandbox.session()
        newer = await sandbox.connect()
        assert (await newer.ask(ping=pb.Ping())).HasField("pong")
        with pytest.raises(EOFError):
            await older.read()
        assert (await newer.run("a", "1")).execution_count == 1


async def test_files_are_served_beside_a_running_operation(start: Start):
    """A FILES connection is one of its own and waits for no operation."""
    async with start() as sandbox:
        session = await sandbox.session()
        session.submit(
            "a", "open('made', 'w').write('abc')\nimport time\nprint('go', flush=True)\ntime.sleep(600)"
        )
        await session.until("a", "output")
        files = await sandbox.connect(greet=False)
        files.send(open=pb.Open(protocol_version=1, purpose=pb.PURPOSE_FILES))
        files.send(file=pb.FileRequest(stat=pb.FileRequest.Stat(path="made")))
        reply = (await files.read()).file_reply
        assert (reply.info.path, reply.info.size_bytes) == ("made", 3)
        with pytest.raises(EOFError):
            await files.read()
        await session.ask(cancel=pb.Cancel(operation_id="a"))


async def test_requests_about_what_is_unknown_are_answered(start: Start):
    """An unknown operation is a failure with its reason, before and after a session was assigned."""
    async with start() as sandbox:
        control = await sandbox.connect()
        for _ in range(2):
            for request in (
                {"cancel": pb.Cancel(operation_id="no")},
                {"fetch": pb.Fetch(operation_id="no")},
                {"get_operation": pb.GetOperation(operation_id="no")},
            ):
                assert (await control.ask(**request)).failure.reason == "OPERATION_NOT_FOUND"
            await control.ask(assign=pb.Assign(session_id="s"))


async def test_a_sandbox_serves_one_session_in_its_life(start: Start):
    """The same Assign again is answered alike, another one refused."""
    async with start() as sandbox:
        control = await sandbox.connect()
        assert (await control.ask(reset=pb.Reset())).failure.reason == "SESSION_NOT_FOUND"
        assert not (await control.ask(assign=pb.Assign(session_id="s"))).HasField("failure")
        assert not (await control.ask(assign=pb.Assign(session_id="s"))).HasField("failure")
        assert (await control.ask(assign=pb.Assign(session_id="t"))).failure.reason == "NOT_ALLOWED"
        assert (await control.ask(ping=pb.Ping())).HasField("pong")


@pytest.mark.parametrize(
    "message",
    [
        {"submit": pb.Submit(operation_id="a", code="1")},
        {"assign": pb.Assign()},
        {"open": OPEN},
        {"file": pb.FileRequest()},
    ],
    ids=["submit before assign", "assign to nobody", "open again", "file on control"],
)
async def test_what_no_control_plane_asks_closes_the_connection(start: Start, message: dict[str, object]):
    """There is no answer to it that would be understood."""
    async with start() as sandbox:
        control = await sandbox.connect()
        control.send(**message)
        with pytest.raises(EOFError):
            await control.read()
        await sandbox.session()


async def test_strangers_that_say_nothing_use_up_nothing(start: Start):
    """At most 128 connections may be undecided; the next are closed at once, and those in use work on."""
    async with start() as sandbox:
        session = await sandbox.session()
        waiting = [await sandbox.connect(greet=False) for _ in range(128)]
        with pytest.raises(EOFError):
            await sandbox.connect(greet=False)
        assert len(os.listdir(f"/proc/{sandbox.process.pid}/fd")) < 160
        assert (await session.ask(ping=pb.Ping())).HasField("pong")
        await waiting.pop().close()
        async with asyncio.timeout(10):
            while True:
                try:
                    await sandbox.connect(greet=False)
                except EOFError:
                    continue  # it has not noticed yet that there is a place
                break
