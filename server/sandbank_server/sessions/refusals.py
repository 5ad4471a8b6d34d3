"""What a sandbox refuses, as an error of the API."""

from __future__ import annotations

from typing import Final

from sandbank_server.errors import (
    DomainError,
    FilesTooLargeError,
    NoSuchTransactionError,
    NotWaitingForInputError,
    OperationNotFoundError,
    SessionBusyError,
    SnapshotGoneError,
    SnapshotsDisabledError,
    ThreadsRunningError,
    TransactionOpenError,
)
from sandbank_server.runners.checks import line_of
from sandbank_server.runners.link import RequestFailed

_KNOWN: Final[dict[str, type[DomainError]]] = {
    error.reason: error
    for error in (
        FilesTooLargeError,
        NoSuchTransactionError,
        NotWaitingForInputError,
        OperationNotFoundError,
        SnapshotGoneError,
        SnapshotsDisabledError,
        ThreadsRunningError,
        TransactionOpenError,
    )
}
"""A sandbox may give these reasons and no other: the rest are the control plane's to give."""

_MESSAGE_CHARACTERS = 500


def refusal(failure: RequestFailed) -> DomainError:
    """Return the error of a request that a sandbox refused; its text came from there and is bounded."""
    known = _KNOWN.get(failure.reason)
    text = line_of(failure.message, _MESSAGE_CHARACTERS)
    if known is None:
        return SessionBusyError("the sandbox could not do it; try again", retry_delay=0.5)
    return known(text or "the sandbox refused it")
