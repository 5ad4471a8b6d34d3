"""What can go wrong, as exceptions: one base, one class per gRPC code here, one per reason in `reasons`.

Catch as widely as you mean to: `SessionNotFound`, `NotFound` for whatever is missing, `SandbankError` for
every error that a call can end with. Failing user code is none of these: it is `ExecutionFailed`, which
carries the operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from sandbank.results import Result
    from sandbank.v1.execution_pb2 import Operation


@dataclass(frozen=True)
class FieldViolation:
    """One argument that the server refused: the field's path and what is wrong with it."""

    field: str
    description: str


class SandbankError(Exception):
    """A call failed.

    `code` is the gRPC status name (`NOT_FOUND`), `reason` the API's (`SESSION_NOT_FOUND`, empty where the
    error did not come from a Sandbank server), `metadata` what it is about, `retry_delay` the seconds after
    which the server suggests to try again (None where that does not help), `violations` the arguments that
    were refused.
    """

    code: str = "UNKNOWN"
    reason: str = ""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
        retry_delay: float | None = None,
        violations: tuple[FieldViolation, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.reason = type(self).reason if reason is None else reason
        self.metadata = dict(metadata or {})
        self.retry_delay = retry_delay
        self.violations = violations

    def __str__(self) -> str:
        told = f"{self.reason or self.code}: {self.message}"
        extra = [f"{v.field}: {v.description}" for v in self.violations if v.description not in self.message]
        return f"{told} ({'; '.join(extra)})" if extra else told


class CodeError(SandbankError):
    """The base of the classes that stand for one gRPC code or one reason; found by it when a call fails."""

    by_code: ClassVar[dict[str, type[SandbankError]]] = {}
    by_reason: ClassVar[dict[str, type[SandbankError]]] = {}

    def __init_subclass__(cls) -> None:
        if "code" in vars(cls):
            cls.by_code[cls.code] = cls
        if "reason" in vars(cls):
            cls.by_reason[cls.reason] = cls


class InvalidArgument(CodeError):
    """The request is wrong; it fails again until it is corrected."""

    code = "INVALID_ARGUMENT"


class NotFound(CodeError):
    """What the request names is not there, or belongs to somebody else."""

    code = "NOT_FOUND"


class AlreadyExists(CodeError):
    """An id was used before, with another request."""

    code = "ALREADY_EXISTS"


class FailedPrecondition(CodeError):
    """Not possible in the state that things are in."""

    code = "FAILED_PRECONDITION"


class OutOfRange(CodeError):
    """What was asked for lies outside what is kept."""

    code = "OUT_OF_RANGE"


class ResourceExhausted(CodeError):
    """A limit is reached; `retry_delay` is set where waiting helps."""

    code = "RESOURCE_EXHAUSTED"


class Unavailable(CodeError):
    """Not possible now, or the server cannot be reached (then `reason` is empty)."""

    code = "UNAVAILABLE"


class Aborted(CodeError):
    """Begun, and what became of it is not known."""

    code = "ABORTED"


class Unauthenticated(CodeError):
    """The server does not know who is calling."""

    code = "UNAUTHENTICATED"


class PermissionDenied(CodeError):
    """The caller may not do that."""

    code = "PERMISSION_DENIED"


class DataLoss(CodeError):
    """Stored data is damaged."""

    code = "DATA_LOSS"


class Unimplemented(CodeError):
    """The server cannot do that."""

    code = "UNIMPLEMENTED"


class Internal(CodeError):
    """A fault of the server's; `metadata` has an id to quote."""

    code = "INTERNAL"


class DeadlineExceeded(CodeError):
    """The call took longer than the client's time limit for it. An operation that it started goes on."""

    code = "DEADLINE_EXCEEDED"


class CallCancelled(CodeError):
    """The call was cancelled on the client's side. An operation that it started goes on."""

    code = "CANCELLED"


class BadAnswer(SandbankError):
    """The server's answer breaks the API's rules: a gap in a sequence, a hash that does not fit."""

    code = "INTERNAL"


class ExecutionFailed(Exception):
    """Code ended in another way than SUCCEEDED.

    `operation` has the state, the error with its frames and the outcome; `result` also what it printed and
    showed before that.
    """

    def __init__(self, result: Result) -> None:
        self.result = result
        super().__init__(result.summary)

    @property
    def operation(self) -> Operation:
        """The operation that failed."""
        return self.result.operation


class MergeConflict(ExecutionFailed):
    """Code of ISOLATION_NAMESPACE succeeded, and nothing of it was merged: others had changed its names meanwhile.

    `result.conflicting_names` says which; running it again, with a new operation id, may succeed.
    """
