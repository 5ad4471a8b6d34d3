"""A variable's value out of a session and into it, of any size: piece by piece, on a connection beside the link."""

from __future__ import annotations

import asyncio
import keyword
import secrets
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from google.protobuf.duration_pb2 import Duration
from sandbank.v1 import variable_pb2
from sandbank_runner.v1 import runner_pb2

from sandbank_server.errors import (
    BadFieldError,
    DomainError,
    FormatUnavailableError,
    SandboxLostError,
    SessionBusyError,
    TooLargeError,
)
from sandbank_server.runners.checks import line_of
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.runners.link import LinkClosed, RequestFailed
from sandbank_server.runners.state_stream import DATA_BYTES, StateStream
from sandbank_server.runners.variables import check_change
from sandbank_server.sessions.refusals import refusal
from sandbank_server.sessions.session import Session
from sandbank_server.sessions.state_transfer import converse

TRANSFER_SECONDS: Final = 3600
"""How long one value may take on its way."""
IDLE_SECONDS: Final = 60.0
"""How long a client may neither give nor take anything."""
NAME_CHARACTERS: Final = 1000

_MESSAGE_CHARACTERS: Final = 500
# fmt: off
_OWN_NAMES: Final = frozenset([
    "__annotations__", "__builtins__", "__doc__", "__loader__", "__name__", "__package__", "__spec__",
    "_", "__", "___", "_dh", "_exit_code",
])
# fmt: on
"""Names of the namespace that are the interpreter's."""


@dataclass(frozen=True, slots=True)
class Target:
    """What to bind, and from what. ``field`` is the request's with the value, for errors."""

    name: str
    format: str
    field: str
    arrow_as: int = 0
    transaction_id: str = ""


class SessionValues:
    """Values of one session on their way."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def bind(self, target: Target, chunks: AsyncIterator[bytes]) -> variable_pb2.VariableChange:
        """Bind a variable in its turn among the operations, all or nothing; return what that changed.

        When ``chunks`` raises, nothing is bound; once all of them were sent, it goes through also when the caller is
        cancelled. Raises :class:`BadFieldError` for what is no value of the format, :class:`FormatUnavailableError`,
        :class:`TooLargeError`, :class:`SandboxLostError` where nobody knows whether it was bound, what the sandbox
        refuses and, under SYNCHRONOUS, what a checkpoint raises.
        """
        session = self._session
        link = await session.usable()
        session.check_not_changing()
        changes: list[variable_pb2.VariableChange] = []
        sent = asyncio.Event()

        async def send(stream: StateStream) -> None:
            await stream.header("importer", seconds=None)
            async for chunk in _prompt(chunks):
                for at in range(0, len(chunk), DATA_BYTES):
                    await stream.send_data(chunk[at : at + DATA_BYTES])
            sent.set()
            await stream.send_header({"type": "end"})

        async def settle(asked: asyncio.Future[runner_pb2.Reply]) -> None:
            result = (await asked).state
            changes.append(check_change(result.change, target.name))
            if not target.transaction_id:  # else it is a change when that is committed
                await session.changed_outside()

        try:
            with session.in_use():
                async with StateStream(link.endpoint, token := secrets.token_hex(16)) as stream:
                    request = runner_pb2.ImportVariable(
                        token=token,
                        transaction_id=target.transaction_id,
                        name=target.name,
                        format=target.format,
                        arrow_as=target.arrow_as,
                        timeout=Duration(seconds=TRANSFER_SECONDS),
                    )
                    asked = asyncio.ensure_future(link.request(None, import_variable=request))
                    settling = session.start(settle(asked))
                    await converse(asked, send(stream))
                    await session.go_through(settling)
        except (LinkClosed, RequestFailed, RunnerViolation, TimeoutError, OSError) as error:
            raise _not_bound(error, target, all_sent=sent.is_set()) from error
        return changes[0]


async def _prompt(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what a client sends; :class:`BadFieldError` where it sends nothing for too long: the session waits."""
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise BadFieldError.at("chunk", f"nothing came for {IDLE_SECONDS:g} s") from None
        if chunk is None:
            return
        yield chunk


def check_name(name: str, path: str) -> str:
    """Return a name that code could bind as it is written."""
    if not 0 < len(name) <= NAME_CHARACTERS:
        raise BadFieldError.at(path, f"must have 1 to {NAME_CHARACTERS} characters")
    if not name.isidentifier() or keyword.iskeyword(name) or unicodedata.normalize("NFKC", name) != name:
        raise BadFieldError.at(path, "must be an identifier of Python's, normalized (NFKC)")
    if name in _OWN_NAMES:
        raise BadFieldError.at(path, "is the interpreter's own")
    return name


def _not_bound(error: Exception, target: Target, *, all_sent: bool) -> DomainError:
    if isinstance(error, RequestFailed):
        text = line_of(error.message, _MESSAGE_CHARACTERS) or "the sandbox gave no reason"
        if error.reason == "BAD_FIELD":
            return BadFieldError.at(target.field, text)
        if error.reason == "FORMAT_UNAVAILABLE":
            return FormatUnavailableError(text, resource=target.name)
        if error.reason == "TOO_LARGE":
            return TooLargeError(text)
        if error.reason == "SESSION_BUSY":
            return SessionBusyError(text, retry_delay=0.5)
        return refusal(error)
    if isinstance(error, RunnerViolation):
        # Who speaks on the connection is code of the user's: that costs this request, not the session.
        return SessionBusyError("the sandbox did not keep to the protocol of values", retry_delay=1.0)
    if all_sent:
        return SandboxLostError("the sandbox was lost before it said whether the value was bound")
    return SessionBusyError("the sandbox did not answer; nothing was bound", retry_delay=0.5)
