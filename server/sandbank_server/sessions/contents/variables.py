"""The variables of a session, read inside its sandbox by a copy of the interpreter: reading changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from sandbank_runner.v1 import runner_pb2

from sandbank_server.errors import (
    DomainError,
    FormatUnavailableError,
    SessionBusyError,
    TooLargeError,
    VariableNotFoundError,
)
from sandbank_server.runners.checks import line_of
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.runners.link import LinkClosed, RequestFailed, RunnerLink
from sandbank_server.runners.variables import Found, check_listing, check_value
from sandbank_server.sessions.life.session import Session
from sandbank_server.sessions.refusals import refusal

READ_SECONDS = 10
"""How long a read may take in the sandbox, code of the user's (``__repr__``) included."""

_ANSWER_SECONDS = 60.0
"""How long the answer may take then: a supervisor that takes longer is stuck."""
_MESSAGE_CHARACTERS = 500
_BUSY_SECONDS = 0.2

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Listing:
    """Which variables are wanted."""

    prefix: str
    include_private: bool
    after: str
    limit: int


class SessionVariables:
    """Reads of one session. ``transaction_id``: what a member of it would see; empty: what is committed."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def list(self, transaction_id: str, listing: Listing) -> Found:
        """Return a page of variables, by name."""
        read = runner_pb2.Read(
            transaction_id=transaction_id,
            list=runner_pb2.Read.ListVariables(
                name_prefix=listing.prefix,
                include_private=listing.include_private,
                after_name=listing.after,
                limit=listing.limit,
            ),
        )
        return await read_state(
            self._session,
            read,
            lambda result: check_listing(result, listing.prefix, listing.after, listing.limit),
        )

    async def get(self, transaction_id: str, name: str, value_format: int, max_bytes: int) -> Found:
        """Return one variable with its value.

        :class:`VariableNotFoundError`, :class:`FormatUnavailableError`, :class:`TooLargeError`.
        """
        get = runner_pb2.Read.GetVariable(name=name, format=value_format, max_bytes=max_bytes)
        read = runner_pb2.Read(transaction_id=transaction_id, get=get)
        return await read_state(
            self._session, read, lambda result: check_value(result, name, max_bytes), name
        )


async def read_state(
    session: Session, read: runner_pb2.Read, check: Callable[[runner_pb2.ReadResult], _T], name: str = ""
) -> _T:
    """Return what ``check`` makes of the sandbox's answer; ``name`` is what errors are about."""
    read.timeout.CopyFrom(Duration(seconds=READ_SECONDS))
    link = await session.usable()
    with session.in_use():
        result = await _ask(link, read, name)
    try:
        found = check(result)
        as_of = result.as_of_operation_id
        if as_of and session.operations.log.get(as_of) is None:
            raise RunnerViolation("the state after an operation that is not known")
    except RunnerViolation as error:
        link.violate(error)
        raise SessionBusyError("the sandbox broke the protocol", retry_delay=1.0) from error
    return found


async def _ask(link: RunnerLink, read: runner_pb2.Read, name: str) -> runner_pb2.ReadResult:
    try:
        return (await link.request(_ANSWER_SECONDS, read=read)).read
    except RequestFailed as error:
        raise _failure(error, read, name) from error
    except (LinkClosed, TimeoutError) as error:
        raise SessionBusyError("the sandbox did not answer; try again", retry_delay=0.5) from error


def _failure(error: RequestFailed, read: runner_pb2.Read, name: str) -> DomainError:
    text = line_of(error.message, _MESSAGE_CHARACTERS) or "the sandbox gave no reason"
    if error.reason == "VARIABLE_NOT_FOUND":
        return VariableNotFoundError("no variable is bound to that name", resource=name)
    if error.reason == "FORMAT_UNAVAILABLE":
        return FormatUnavailableError(text, resource=name)
    if error.reason == "TOO_LARGE":
        return TooLargeError(text, metadata={"limit_bytes": str(read.get.max_bytes)})
    if error.reason == "SESSION_BUSY":
        return SessionBusyError(text, retry_delay=_BUSY_SECONDS)
    return refusal(error)
