"""A control plane of a few lines: speaks frames to a supervisor and keeps what it says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.duration_pb2 import Duration
from sandbank.v1.execution_pb2 import Operation, OperationEvent
from sandbank_runner.v1 import runner_pb2 as pb

SECONDS = 20.0
"""For anything that must happen at all."""

ROOT = Path(__file__).parents[2]


def seconds(value: float) -> Duration:
    """Return ``value`` as a protobuf Duration."""
    duration = Duration()
    duration.FromNanoseconds(int(value * 1e9))
    return duration


@dataclass
class Running:
    """A supervisor in local mode as a process of its own."""

    process: subprocess.Popen[bytes]
    directory: Path
    socket_path: str
    errors: Path
    connections: list[Connection] = field(default_factory=list)

    async def connect(self, *, greet: bool = True) -> Connection:
        """Dial, read Hello and, unless told otherwise, say what for."""
        reader, writer = await asyncio.open_unix_connection(self.socket_path, limit=1 << 26)
        connection = Connection(reader, writer)
        self.connections.append(connection)
        connection.hello = (await connection.read()).hello
        if greet:
            connection.send(open=pb.Open(protocol_version=1, purpose=pb.PURPOSE_CONTROL))
        return connection

    async def session(self, **assign: Any) -> Connection:
        """Connect and assign session `s`."""
        connection = await self.connect()
        await connection.ask(assign=pb.Assign(session_id="s", **assign))
        return connection

    async def exit_code(self) -> int:
        """Wait for its end."""
        async with asyncio.timeout(SECONDS):
            return await asyncio.to_thread(self.process.wait)

    def memory_bytes(self) -> int:
        """Return its resident memory."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@asynccontextmanager
async def supervised(directory: Path, *, listening: bool = True, **config: Any) -> AsyncIterator[Running]:
    """Run a supervisor below ``directory``; ``config`` goes into its configuration."""
    workspace = directory / "workspace"
    workspace.mkdir()
    path = str(directory / "s")
    errors = directory / "errors"
    value = {
        # Its own: a template whose supervisor is gone ends whatever bears the same.
        "sandbox_id": f"sb-test-{os.urandom(8).hex()}",
        "mode": "local",
        "socket_path": path,
        "workspace": str(workspace),
        **config,
    }
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("worker_image", "clients/python", ".")),
        "SANDBANK_SANDBOX": json.dumps(value),
    }
    with errors.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: ASYNC220 - asked for its exit code long after
            [sys.executable, "-m", "sandbank_runner.supervisor"],
            env=environment,
            cwd=directory,
            stderr=stderr,
        )
    running = Running(process, directory, path, errors)
    try:
        if listening:
            await _listening(running)
        yield running
    finally:
        for connection in running.connections:
            await connection.close()
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait()


async def _listening(running: Running) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            assert running.process.poll() is None, running.errors.read_text()
            try:
                reader, writer = await asyncio.open_unix_connection(running.socket_path)
            except OSError:
                await asyncio.sleep(0.01)  # a process that starts has nothing to wait on but its socket
            else:
                await Connection(reader, writer).close()
                return


@dataclass
class Connection:
    """One connection. Events are kept by operation in the order of their arrival."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    hello: pb.Hello = field(default_factory=pb.Hello)
    events: dict[str, list[OperationEvent]] = field(default_factory=dict)
    told: list[pb.FromRunner] = field(default_factory=list)
    """Everything but Hello, in the order of its arrival."""
    _requests: int = 0

    def send(self, request_id: int = 0, **message: Any) -> None:
        """Send one message."""
        data = pb.ToRunner(request_id=request_id, **message).SerializeToString()
        self.writer.write(struct.pack(">I", len(data)) + data)

    async def read(self) -> pb.FromRunner:
        """Read one message. EOFError at the end."""
        async with asyncio.timeout(SECONDS):
            try:
                (length,) = struct.unpack(">I", await self.reader.readexactly(4))
                return pb.FromRunner.FromString(await self.reader.readexactly(length))
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise EOFError from error

    async def take(self) -> pb.FromRunner:
        """Read one message and keep it."""
        message = await self.read()
        self.told.append(message)
        if message.WhichOneof("message") == "events":
            events = [OperationEvent.FromString(event) for event in message.events.events]
            kept = self.events.setdefault(message.events.operation_id, [])
            assert [event.sequence for event in events] == list(
                range(message.events.first_sequence, message.events.first_sequence + len(events))
            )
            kept.extend(events)
            assert message.events.finished == (events[-1].WhichOneof("event") == "finished")
        return message

    async def ask(self, **message: Any) -> pb.Reply:
        """Ask and wait for the reply, keeping what comes before it."""
        self._requests += 1
        self.send(self._requests, **message)
        while True:
            answer = await self.take()
            if answer.WhichOneof("message") == "reply" and answer.reply.request_id == self._requests:
                return answer.reply

    def submit(
        self,
        operation_id: str,
        code: str,
        *,
        timeout: float = 60.0,
        max_output_bytes: int = 8 << 20,
        **more: Any,
    ) -> None:
        """Queue an operation; ``more`` are further fields of Submit."""
        submit = pb.Submit(
            operation_id=operation_id,
            code=code,
            timeout=seconds(timeout),
            max_output_bytes=max_output_bytes,
            **more,
        )
        submit.create_time.FromNanoseconds(1_700_000_000_000_000_000)
        self.send(submit=submit)

    async def finished(self, operation_id: str) -> Operation:
        """Wait for the end of an operation."""
        while True:
            kept = self.events.get(operation_id, [])
            if kept and kept[-1].WhichOneof("event") == "finished":
                return kept[-1].finished.operation
            await self.take()

    async def until(self, operation_id: str, kind: str) -> OperationEvent:
        """Wait for the first event of a kind."""
        while True:
            for event in self.events.get(operation_id, []):
                if event.WhichOneof("event") == kind:
                    return event
            await self.take()

    async def until_told(self, kind: str) -> Any:
        """Wait for the first message of a kind."""
        while True:
            for message in self.told:
                if message.WhichOneof("message") == kind:
                    return getattr(message, kind)
            await self.take()

    def all_told(self, kind: str) -> list[Any]:
        """Return the messages of a kind that have come."""
        return [getattr(message, kind) for message in self.told if message.WhichOneof("message") == kind]

    async def run(self, operation_id: str, code: str, **submit: Any) -> Operation:
        """Run an operation to its end."""
        self.submit(operation_id, code, **submit)
        return await self.finished(operation_id)

    def output(self, operation_id: str, stream: int = 1) -> bytes:
        """Return what it has written so far."""
        return b"".join(
            event.output.data
            for event in self.events.get(operation_id, [])
            if event.WhichOneof("event") == "output" and event.output.stream == stream
        )

    async def close(self) -> None:
        """Hang up."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()
