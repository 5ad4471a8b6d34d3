"""A variable's value out of a session and into it, of any size: piece by piece, on a connection beside the link."""

from __future__ import annotations

import asyncio
import contextlib
import keyword
import secrets
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from sandbank.v1 import state_pb2, variable_pb2
from sandbank_runner.v1 import runner_pb2

from sandbank_server.errors import (
    BadFieldError,
    DomainError,
    FormatUnavailableError,
    SandboxLostError,
    SessionBusyError,
    TooLargeError,
    VariableNotFoundError,
)
from sandbank_server.runners.checks import check_counts, line_of
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.runners.link import LinkClosed, RequestFailed
from sandbank_server.runners.state_stream import DATA_BYTES, StateStream
from sandbank_server.runners.variables import check_change, described, mime_of
from sandbank_server.sessions.life.session import Session
from sandbank_server.sessions.life.transfer import converse
from sandbank_server.sessions.refusals import refusal

TRANSFER_SECONDS: Final = 3600
"""How long one value may take on its way."""
IDLE_SECONDS: Final = 60.0
"""How long a client may neither give nor take anything."""
NAME_CHARACTERS: Final = 1000

_MESSAGE_CHARACTERS: Final = 500
_CONVERSION_SECONDS: Final = 90.0
"""How long a value may take to be converted, code of the user's included; the sandbox gives up before."""
_ANSWER_SECONDS: Final = 60.0
_BROKEN: Final = "the sandbox did not keep to the protocol of values"
_READERS_REASONS: Final = {
    "missing": "VARIABLE_NOT_FOUND",
    "too_large": "TOO_LARGE",
    "format": "FORMAT_UNAVAILABLE",
    "failed": "FORMAT_UNAVAILABLE",
}
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
        served_by = session.served_by
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
            result = (await asyncio.shield(asked)).state
            check_counts(result.state)
            changes.append(check_change(result.change, target.name))
            await session.variable_set(target.name, result, target.transaction_id, served_by)

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
            if session.ended:
                await session.usable()  # which says so
            raise _not_bound(error, target, all_sent=sent.is_set()) from error
        return changes[0]

    @contextlib.asynccontextmanager
    async def export(
        self, transaction_id: str, name: str, value_format: int, max_bytes: int
    ) -> AsyncIterator[tuple[state_pb2.ExportVariableHeader, AsyncIterator[bytes]]]:
        """Yield what a variable is, and the pieces of its value; ``max_bytes`` 0: however many there are.

        Raises :class:`VariableNotFoundError`, :class:`FormatUnavailableError`, :class:`TooLargeError`, also after the
        first pieces, and what a sandbox refuses.
        """
        session = self._session
        link = await session.usable()
        try:
            with session.in_use():
                async with StateStream(link.endpoint, token := secrets.token_hex(16)) as stream:
                    request = runner_pb2.ExportVariable(
                        token=token,
                        transaction_id=transaction_id,
                        name=name,
                        format=value_format,
                        max_bytes=max_bytes,
                        timeout=Duration(seconds=TRANSFER_SECONDS),
                    )
                    asked = asyncio.ensure_future(
                        link.request(TRANSFER_SECONDS + _ANSWER_SECONDS, export_variable=request)
                    )
                    header = await converse(asked, self._begin(stream, name))
                    yield header, _pieces(stream, asked, max_bytes)
        except (LinkClosed, RequestFailed, RunnerViolation, TimeoutError, OSError) as error:
            if session.ended:
                await session.usable()  # which says so
            raise _not_sent(error, name, max_bytes) from error

    async def _begin(self, stream: StateStream, name: str) -> state_pb2.ExportVariableHeader:
        seen = await stream.header("seen")
        operation_id, stale = seen.get("operation"), seen.get("stale")
        if not isinstance(operation_id, str) or (
            operation_id and self._session.operations.log.get(operation_id) is None
        ):
            raise RunnerViolation("the state after an operation that is not known")
        header = await stream.header("header", "refused", seconds=_CONVERSION_SECONDS)
        _check_refused(header)
        return state_pb2.ExportVariableHeader(
            variable=described(header, name),
            mime_type=mime_of(header.get("mime_type")),
            as_of=variable_pb2.AsOf(operation_id=operation_id, stale=stale is True),
        )


async def _pieces(
    stream: StateStream, asked: asyncio.Future[runner_pb2.Reply], max_bytes: int
) -> AsyncIterator[bytes]:
    """Yield what comes up to its end; whoever takes nothing for too long ends it."""
    loop = asyncio.get_running_loop()
    size = 0
    while True:
        try:
            frame = await stream.receive()
        except LinkClosed:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await asyncio.shield(asked)  # which knows why
            raise
        if isinstance(frame, dict):
            _check_refused(frame)
            if frame["type"] != "end":
                raise RunnerViolation("neither a piece of the value nor its end")
            async with asyncio.timeout(_ANSWER_SECONDS):
                await asyncio.shield(asked)
            return
        size += len(frame)
        if max_bytes and size > max_bytes:
            raise RunnerViolation(f"a value of over {max_bytes} bytes")
        idle = loop.call_later(IDLE_SECONDS, stream.abort)
        try:
            yield frame
        finally:
            idle.cancel()


def _check_refused(header: dict[str, Any]) -> None:
    """Raise what a reader says instead of a value."""
    if header["type"] == "refused":
        reason = _READERS_REASONS.get(str(header.get("reason")), "FORMAT_UNAVAILABLE")
        raise RequestFailed(reason, str(header.get("message")))


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


def _not_sent(error: Exception, name: str, max_bytes: int) -> DomainError:
    if isinstance(error, RequestFailed):
        text = line_of(error.message, _MESSAGE_CHARACTERS) or "the sandbox gave no reason"
        if error.reason == "VARIABLE_NOT_FOUND":
            return VariableNotFoundError("no variable is bound to that name", resource=name)
        if error.reason == "FORMAT_UNAVAILABLE":
            return FormatUnavailableError(text, resource=name)
        if error.reason == "TOO_LARGE":
            return TooLargeError(text, metadata={"limit_bytes": str(max_bytes)} if max_bytes else {})
        if error.reason == "SESSION_BUSY":
            return SessionBusyError(text, retry_delay=0.5)
        return refusal(error)
    if isinstance(error, RunnerViolation):
        return SessionBusyError(_BROKEN, retry_delay=1.0)
    return SessionBusyError("the sandbox did not answer; try again", retry_delay=0.5)


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
        return SessionBusyError(_BROKEN, retry_delay=1.0)
    if all_sent:
        return SandboxLostError("the sandbox was lost before it said whether the value was bound")
    return SessionBusyError("the sandbox did not answer; nothing was bound", retry_delay=0.5)
