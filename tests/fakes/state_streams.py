"""The control plane's end of a STATE connection, in a few lines."""

from __future__ import annotations

import asyncio
import itertools
import json
import struct
from dataclasses import dataclass
from typing import Any

from sandbank_runner.v1 import runner_pb2 as pb

from tests.fakes.control_plane import SECONDS, Connection, Running

_PREFIX = struct.Struct(">Ic")
_tokens = itertools.count(1)


@dataclass
class StateStream:
    """One connection, and the token that it was opened with."""

    connection: Connection
    token: str

    def say(self, **header: Any) -> None:
        """Send a header."""
        body = json.dumps(header).encode()
        self.connection.writer.write(_PREFIX.pack(len(body), b"J") + body)

    async def hear(self) -> dict[str, Any]:
        """Return the next header. EOFError at the end."""
        async with asyncio.timeout(SECONDS):
            try:
                length, kind = _PREFIX.unpack(await self.connection.reader.readexactly(_PREFIX.size))
                assert kind == b"J"
                found: dict[str, Any] = json.loads(await self.connection.reader.readexactly(length))
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise EOFError from error
        return found

    async def has_ended(self) -> bool:
        """Wait for its end; False where something else comes."""
        try:
            await self.hear()
        except EOFError:
            return True
        return False

    async def close(self) -> None:
        """Hang up."""
        await self.connection.close()


async def state_stream(sandbox: Running, token: str | None = None) -> StateStream:
    """Open one."""
    connection = await sandbox.connect(greet=False)
    token = f"t{next(_tokens)}" if token is None else token
    connection.send(open=pb.Open(protocol_version=1, purpose=pb.PURPOSE_STATE, token=token))
    return StateStream(connection, token)


async def reply_to(session: Connection, request_id: int) -> pb.Reply:
    """Wait for the reply to a request that was sent with an id of the test's own."""
    while True:
        for told in session.told:
            if told.WhichOneof("message") == "reply" and told.reply.request_id == request_id:
                return told.reply
        await session.take()
