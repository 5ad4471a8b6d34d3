"""What can go wrong, as the domain says it: one class per reason of the public API.

A reason is part of the contract with clients, a text is not. Which gRPC status, log level and retry advice
belong to a reason is decided in one table, `grpc_api/error_map.py`: nothing that raises these needs to know
grpc. Whatever else escapes from a call is a BUG, and its text never reaches a client.

Messages and metadata are sent to the caller: no secret, no path of the server and no other tenant's name
goes in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one field. ``path`` is as in the proto: ``execute.timeout``, ``labels["a b"]``."""

    path: str
    description: str


class DomainError(Exception):
    """An error that the caller of the API is told about.

    ``message``: a sentence for a person, safe to send. ``metadata``: what it is about, for programs.
    ``retry_delay``: seconds after which the same call may succeed, where that is known. ``violations``:
    the fields at fault. ``resource``: the id, name or path of the thing it is about. ``subject``: whose
    quota, in quota errors.
    """

    reason: ClassVar[str]
    resource_type: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        retry_delay: float | None = None,
        violations: Sequence[FieldViolation] = (),
        resource: str = "",
        subject: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata: Mapping[str, str] = dict(metadata) if metadata else {}
        self.retry_delay = retry_delay
        self.violations = tuple(violations)
        self.resource = resource
        self.subject = subject


# Arguments -----------------------------------------------------------------------------------------


class ArgumentError(DomainError):
    """The request itself is wrong: sending it again cannot help."""

    @classmethod
    def at(cls, path: str, description: str, **metadata: str) -> Self:
        """Return the error of one field: ``BadFieldError.at("timeout", "must not be negative")``."""
        text = f"{path}: {description}" if path else description
        return cls(text, metadata=metadata, violations=[FieldViolation(path, description)])


class BadFieldError(ArgumentError):
    """A field is missing, malformed or beyond its limit."""

    reason = "BAD_FIELD"


class CodeTooLargeError(ArgumentError):
    """The code is over its limit."""

    reason = "CODE_TOO_LARGE"


class BadIdError(ArgumentError):
    """An id does not match ``[A-Za-z0-9._-]{1,128}``."""

    reason = "BAD_ID"


class ChecksumMismatchError(ArgumentError):
    """The bytes received are not those that their hash was made of."""

    reason = "CHECKSUM_MISMATCH"


# What is not there: also another tenant's ----------------------------------------------------------


class NotFoundError(DomainError):
    """There is no such thing, or it is another tenant's: the two must look alike."""


class SessionNotFoundError(NotFoundError):
    """No such session."""

    reason = "SESSION_NOT_FOUND"
    resource_type = "session"


class OperationNotFoundError(NotFoundError):
    """No such operation in the session."""

    reason = "OPERATION_NOT_FOUND"
    resource_type = "operation"


class CheckpointNotFoundError(NotFoundError):
    """No such checkpoint."""

    reason = "CHECKPOINT_NOT_FOUND"
    resource_type = "checkpoint"


class VariableNotFoundError(NotFoundError):
    """No such variable in the session."""

    reason = "VARIABLE_NOT_FOUND"
    resource_type = "variable"


class FileNotFoundInWorkspaceError(NotFoundError):
    """No such file in the workspace."""

    reason = "FILE_NOT_FOUND"
    resource_type = "file"


class TemplateNotFoundError(NotFoundError):
    """No such template."""

    reason = "TEMPLATE_NOT_FOUND"
    resource_type = "template"


# Idempotency ---------------------------------------------------------------------------------------


class OperationIdReusedError(DomainError):
    """The operation id was used with another request."""

    reason = "OPERATION_ID_REUSED"
    resource_type = "operation"


class RequestIdReusedError(DomainError):
    """The request id was used with another request."""

    reason = "REQUEST_ID_REUSED"
    resource_type = "request"


# The state of things forbids it --------------------------------------------------------------------


class PreconditionError(DomainError):
    """Something else must be done first; repeating the call alone does not help."""


class SessionTerminatedError(PreconditionError):
    """The session has ended."""

    reason = "SESSION_TERMINATED"
    resource_type = "session"


class SessionCrashedError(PreconditionError):
    """The session's container died and was not recovered."""

    reason = "SESSION_CRASHED"
    resource_type = "session"


class TransactionOpenError(PreconditionError):
    """A transaction is open that must end first."""

    reason = "TRANSACTION_OPEN"
    resource_type = "transaction"


class NoSuchTransactionError(PreconditionError):
    """That transaction is not open, or was ended the other way."""

    reason = "NO_SUCH_TRANSACTION"
    resource_type = "transaction"


class NotWaitingForInputError(PreconditionError):
    """The operation waits for no input, or for another one."""

    reason = "NOT_WAITING_FOR_INPUT"
    resource_type = "operation"


class SnapshotGoneError(PreconditionError):
    """The snapshot that this needs is no longer kept."""

    reason = "SNAPSHOT_GONE"


class SnapshotsDisabledError(PreconditionError):
    """The session keeps no snapshots."""

    reason = "SNAPSHOTS_DISABLED"


class ThreadsRunningError(PreconditionError):
    """User threads run, which a copy of the interpreter would lose."""

    reason = "THREADS_RUNNING"


class FilesTooLargeError(PreconditionError):
    """The workspace is over what a transaction may carry."""

    reason = "FILES_TOO_LARGE"


class DirectoryNotEmptyError(PreconditionError):
    """The directory has files in it."""

    reason = "DIRECTORY_NOT_EMPTY"
    resource_type = "file"


class FormatUnavailableError(PreconditionError):
    """The value cannot be had in that format."""

    reason = "FORMAT_UNAVAILABLE"
    resource_type = "variable"


class CheckpointIncompatibleError(PreconditionError):
    """The checkpoint does not fit the Python or the packages here."""

    reason = "CHECKPOINT_INCOMPATIBLE"
    resource_type = "checkpoint"


class EventsEvictedError(DomainError):
    """The journal no longer has the events asked for."""

    reason = "EVENTS_EVICTED"
    resource_type = "operation"


# Bounds --------------------------------------------------------------------------------------------


class ExhaustedError(DomainError):
    """A bound is reached."""


class PoolQueueFullError(ExhaustedError):
    """Too many callers wait for a sandbox already."""

    reason = "POOL_QUEUE_FULL"


class QuotaExceededError(ExhaustedError):
    """The tenant's quota is used up; ``subject`` names it."""

    reason = "QUOTA_EXCEEDED"


class OperationQueueFullError(ExhaustedError):
    """Too many operations wait in the session already."""

    reason = "OPERATION_QUEUE_FULL"


class WorkspaceFullError(ExhaustedError):
    """The workspace has no room for it."""

    reason = "WORKSPACE_FULL"


class TooLargeError(ExhaustedError):
    """A message or a value is over its limit."""

    reason = "TOO_LARGE"


# Not now: nothing was recorded, the same call may be sent again ------------------------------------


class UnavailableError(DomainError):
    """It cannot be done now; nothing was recorded, so the same call with the same id may be repeated."""


class PoolDegradedError(UnavailableError):
    """Sandboxes of this template fail to start."""

    reason = "POOL_DEGRADED"


class PoolTimeoutError(UnavailableError):
    """No sandbox became ready in time."""

    reason = "POOL_TIMEOUT"


class DrainingError(UnavailableError):
    """The server is shutting down."""

    reason = "DRAINING"


class SessionBusyError(UnavailableError):
    """Something else goes on in the session."""

    reason = "SESSION_BUSY"
    resource_type = "session"


class StoreUnavailableError(UnavailableError):
    """The catalog or the checkpoint store cannot be reached."""

    reason = "STORE_UNAVAILABLE"


class SandboxLostBeforeStartError(UnavailableError):
    """The sandbox died before the call was recorded."""

    reason = "SANDBOX_LOST_BEFORE_START"


class SandboxLostError(DomainError):
    """The sandbox died and what became of the call could not be recorded: read before repeating."""

    reason = "SANDBOX_LOST"


# Who may -------------------------------------------------------------------------------------------


class BadCredentialsError(DomainError):
    """The key is missing or wrong."""

    reason = "BAD_CREDENTIALS"


class NotAllowedError(DomainError):
    """This key may not do that."""

    reason = "NOT_ALLOWED"


# The server's own ----------------------------------------------------------------------------------


class CheckpointCorruptError(DomainError):
    """A part of the checkpoint fails its hash; nothing was changed."""

    reason = "CHECKPOINT_CORRUPT"
    resource_type = "checkpoint"


class NotSupportedError(DomainError):
    """Not built yet, or not on this server. ``metadata`` names what was asked for."""

    reason = "NOT_SUPPORTED"


class BugError(DomainError):
    """A fault of the server, made at the edge from whatever escaped; ``error_id`` in metadata is to quote."""

    reason = "BUG"


def all_reasons() -> dict[str, type[DomainError]]:
    """Return every reason with its class."""
    found: dict[str, type[DomainError]] = {}
    pending: list[type[DomainError]] = [DomainError]
    while pending:
        for child in pending.pop().__subclasses__():
            pending.append(child)
            if "reason" in child.__dict__:
                found[child.reason] = child
    return found
