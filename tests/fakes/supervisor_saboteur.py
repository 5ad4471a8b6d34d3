"""A supervisor that can be told to misbehave, behind a real Unix socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sandbank.v1 import execution_pb2
from sandbank_runner.v1 import runner_pb2
from sandbank_server.runtimes.base import Endpoint

SANDBOX_ID = "sb-fake00000000"
SESSION_ID = "ses-1"

Operation = execution_pb2.Operation


class Wire:
    """The supervisor's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, **message: object) -> None:
        """Send one frame."""
        data = runner_pb2.FromRunner(**message).SerializeToString()
        self.raw(len(data).to_bytes(4, "big") + data)

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)

    async def receive(self) -> runner_pb2.ToRunner:
        """Wait for one frame of the control plane."""
        length = int.from_bytes(await self.reader.readexactly(4), "big")
        return runner_pb2.ToRunner.FromString(await self.reader.readexactly(length))

    def hello(self, **fields: object) -> None:
        """Greet as a good supervisor does, but for ``fields``."""
        good = {"protocol_version": 1, "sandbox_id": SANDBOX_ID, "boot_id": "b1", "python_version": "3.13.1"}
        self.send(hello=runner_pb2.Hello(**{**good, **fields}))


Script = Callable[[Wire], Awaitable[None]]


@asynccontextmanager
async def supervisor(directory: Path, *scripts: Script) -> AsyncIterator[Endpoint]:
    """Listen; the n-th connection is served by the n-th script, later ones by the last. Scripts end with the test."""
    tasks: list[asyncio.Task[None]] = []
    left = list(scripts)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = left.pop(0) if len(left) > 1 else left[0]
        tasks.append(asyncio.ensure_future(_run(script, Wire(reader, writer))))

    server = await asyncio.start_unix_server(serve, directory / "runner.sock")
    try:
        yield Endpoint(str(directory), "runner.sock", os.getuid())
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def _run(script: Script, wire: Wire) -> None:
    try:
        await script(wire)
        await wire.reader.read()  # until the control plane hangs up
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        wire.writer.close()


def event(operation_id: str, sequence: int, session_id: str = SESSION_ID, **kind: object) -> bytes:
    """Return one serialized event."""
    message = execution_pb2.OperationEvent(
        session_id=session_id, operation_id=operation_id, sequence=sequence, **kind
    )
    message.time.GetCurrentTime()
    return message.SerializeToString()


def started(operation_id: str, sequence: int = 1) -> bytes:
    """Return a Started."""
    return event(operation_id, sequence, started=execution_pb2.Started())


def output(operation_id: str, sequence: int, data: bytes) -> bytes:
    """Return an Output on stdout."""
    return event(
        operation_id, sequence, output=execution_pb2.Output(stream="OUTPUT_STREAM_STDOUT", data=data)
    )


def finished(name: str, sequence: int, **fields: object) -> bytes:
    """Return the Finished of operation ``name``, a success unless ``fields`` say otherwise."""
    good = {
        "session_id": SESSION_ID,
        "operation_id": name,
        "state": Operation.STATE_SUCCEEDED,
        "outcome": Operation.OUTCOME_COMMITTED,
        "execution_count": 1,
    }
    operation = Operation(**{**good, **fields})
    return event(name, sequence, finished=execution_pb2.Finished(operation=operation))


def events(operation_id: str, first: int, *serialized: bytes) -> dict[str, runner_pb2.Events]:
    """Return the keyword that pushes events: ``wire.send(**events(…))``."""
    return {"events": runner_pb2.Events(operation_id=operation_id, first_sequence=first, events=serialized)}
