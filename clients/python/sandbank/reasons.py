"""One exception class per reason of the API, under the class of its gRPC code.

The table is protos/README.md; a test keeps the two the same. A reason that this client does not know yet
becomes the class of its code, with the reason in it.
"""

from sandbank import errors as _e


class BadField(_e.InvalidArgument):
    """A field is missing, malformed or beyond its limit; correct it, BadRequest names it."""

    reason = "BAD_FIELD"


class CodeTooLarge(_e.InvalidArgument):
    """The code is over the limit (1 MiB by default); send less, or upload a file and import it."""

    reason = "CODE_TOO_LARGE"


class BadId(_e.InvalidArgument):
    """An id does not match `[A-Za-z0-9._-]{1,128}`; choose another."""

    reason = "BAD_ID"


class ChecksumMismatch(_e.InvalidArgument):
    """The content does not have the size or hash that the header gave; nothing was written, send it again."""

    reason = "CHECKSUM_MISMATCH"


class SessionNotFound(_e.NotFound):
    """No such session of the caller's, or ended over 24 hours ago; create one."""

    reason = "SESSION_NOT_FOUND"


class OperationNotFound(_e.NotFound):
    """The session has no such operation; if you just sent it, it was never recorded and may be sent again."""

    reason = "OPERATION_NOT_FOUND"


class CheckpointNotFound(_e.NotFound):
    """No such checkpoint of the caller's; ListCheckpoints shows those there are."""

    reason = "CHECKPOINT_NOT_FOUND"


class VariableNotFound(_e.NotFound):
    """The name is not bound; ListVariables shows those that are."""

    reason = "VARIABLE_NOT_FOUND"


class FileNotFound(_e.NotFound):
    """No such file or directory in the workspace; ListFiles shows those there are."""

    reason = "FILE_NOT_FOUND"


class TemplateNotFound(_e.NotFound):
    """No such template; ListTemplates shows those there are."""

    reason = "TEMPLATE_NOT_FOUND"


class OperationIdReused(_e.AlreadyExists):
    """The session has an operation of this id with another request; choose a new id."""

    reason = "OPERATION_ID_REUSED"


class RequestIdReused(_e.AlreadyExists):
    """This request id was used with another request; choose a new one."""

    reason = "REQUEST_ID_REUSED"


class SessionTerminated(_e.FailedPrecondition):
    """The session has ended; create another."""

    reason = "SESSION_TERMINATED"


class SessionCrashed(_e.FailedPrecondition):
    """The session's container died and was not recovered; ResetSession or Restore."""

    reason = "SESSION_CRASHED"


class TransactionOpen(_e.FailedPrecondition):
    """An explicit transaction is open; name it, or commit or roll it back first."""

    reason = "TRANSACTION_OPEN"


class NoSuchTransaction(_e.FailedPrecondition):
    """That transaction is not open, or was ended the other way; read `open_transaction_id` of the session."""

    reason = "NO_SUCH_TRANSACTION"


class NotWaitingForInput(_e.FailedPrecondition):
    """That input request was answered already or is over; read the operation."""

    reason = "NOT_WAITING_FOR_INPUT"


class SnapshotGone(_e.FailedPrecondition):
    """The snapshot of that state was dropped; restore a checkpoint, or choose a later operation."""

    reason = "SNAPSHOT_GONE"


class SnapshotsDisabled(_e.FailedPrecondition):
    """The session was created without snapshots; use another session, or a policy that needs none."""

    reason = "SNAPSHOTS_DISABLED"


class ThreadsRunning(_e.FailedPrecondition):
    """Threads of user code are at work, which a snapshot cannot hold; end them, metadata names them."""

    reason = "THREADS_RUNNING"


class FilesTooLarge(_e.FailedPrecondition):
    """The workspace is over the bound for `include_files`; delete files, or leave them out."""

    reason = "FILES_TOO_LARGE"


class DirectoryNotEmpty(_e.FailedPrecondition):
    """The directory has something in it; delete it with `recursive`."""

    reason = "DIRECTORY_NOT_EMPTY"


class FormatUnavailable(_e.FailedPrecondition):
    """The value cannot be had in this format; ask for another."""

    reason = "FORMAT_UNAVAILABLE"


class CheckpointIncompatible(_e.FailedPrecondition):
    """Another Python minor version, or a package is missing; use a matching template, or `allow_lost`."""

    reason = "CHECKPOINT_INCOMPATIBLE"


class EventsEvicted(_e.OutOfRange):
    """The events asked for have been dropped; GetOperation or GetSession has the state as it is now."""

    reason = "EVENTS_EVICTED"


class PoolQueueFull(_e.ResourceExhausted):
    """Too many callers wait for a sandbox; try again after RetryInfo's delay."""

    reason = "POOL_QUEUE_FULL"


class QuotaExceeded(_e.ResourceExhausted):
    """The tenant's quota is used up, QuotaFailure says which; free something, or ask the operator."""

    reason = "QUOTA_EXCEEDED"


class OperationQueueFull(_e.ResourceExhausted):
    """Too many operations are queued in the session; try again when some have finished."""

    reason = "OPERATION_QUEUE_FULL"


class WorkspaceFull(_e.ResourceExhausted):
    """The workspace has no room; delete files."""

    reason = "WORKSPACE_FULL"


class TooLarge(_e.ResourceExhausted):
    """It is over the size limit, which metadata gives; ask for less, or use the streaming RPC."""

    reason = "TOO_LARGE"


class PoolDegraded(_e.Unavailable):
    """Sandboxes of this template fail to start; try again later, GetPool has the reason."""

    reason = "POOL_DEGRADED"


class PoolTimeout(_e.Unavailable):
    """No sandbox became ready in time; try again with the same request id."""

    reason = "POOL_TIMEOUT"


class Draining(_e.Unavailable):
    """The server is shutting down; try again, nothing was recorded."""

    reason = "DRAINING"


class SessionBusy(_e.Unavailable):
    """The session is running an operation; try again after RetryInfo's delay."""

    reason = "SESSION_BUSY"


class StoreUnavailable(_e.Unavailable):
    """The checkpoint store cannot be reached; try again, nothing was changed."""

    reason = "STORE_UNAVAILABLE"


class SandboxLostBeforeStart(_e.Unavailable):
    """The sandbox died before the work began; try again with the same id."""

    reason = "SANDBOX_LOST_BEFORE_START"


class SandboxLost(_e.Aborted):
    """The sandbox died and what became of the work could not be recorded.

    Look (GetOperation, StatFile) before repeating.
    """

    reason = "SANDBOX_LOST"


class BadCredentials(_e.Unauthenticated):
    """The key is missing or wrong; send the right one."""

    reason = "BAD_CREDENTIALS"


class NotAllowed(_e.PermissionDenied):
    """This key may not do that; use another."""

    reason = "NOT_ALLOWED"


class CheckpointCorrupt(_e.DataLoss):
    """A part of the checkpoint fails its hash; nothing was changed, use another checkpoint."""

    reason = "CHECKPOINT_CORRUPT"


class NotSupported(_e.Unimplemented):
    """Something asked for is not built yet or not on this server, metadata names it; leave it unset."""

    reason = "NOT_SUPPORTED"


class Bug(_e.Internal):
    """A fault of the server's; report the id in metadata to the operator."""

    reason = "BUG"
