"""What a sandbox refuses, as an error of the API."""

from __future__ import annotations

from typing import Final

from sandbank_server.errors import (
    DomainError,
    FilesTooLargeError,
    NoSuchTransactionError,
    NotWaitingForInputError,
    OperationNotFoundError,
    OperationQueueFullError,
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
        OperationQueueFullError,
        SnapshotGoneError,
        SnapshotsDisabledError,
        ThreadsRunningError,
        TransactionOpenError,
    )
}
"""A sandbox may give these reasons and no other: the rest are the control plane's to give."""

_NAMES_KEYS: Final = {"THREADS_RUNNING": "threads"}
"""Reasons whose names programs may want, and the key in metadata."""

_MESSAGE_CHARACTERS = 500
_NAME_CHARACTERS = 100


def refusal(failure: RequestFailed) -> DomainError:
    """Return the error of a request that a sandbox refused; its text came from there and is bounded."""
    known = _KNOWN.get(failure.reason)
    text = line_of(failure.message, _MESSAGE_CHARACTERS)
    if known is None:
        return SessionBusyError("the sandbox could not do it; try again", retry_delay=0.5)
    names = ", ".join(line_of(name, _NAME_CHARACTERS) for name in failure.names)
    metadata = {_NAMES_KEYS[failure.reason]: names} if names and failure.reason in _NAMES_KEYS else {}
    return known(text or "the sandbox refused it", metadata=metadata)
