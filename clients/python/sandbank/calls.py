"""Every simple call of the client as a value: what to send, and what of the answer the caller wants.

The sync and the async client make the same calls from here; all that differs is who waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Generic, TypeAlias, TypeVar

from sandbank import requests, rpc
from sandbank.encoded import Encoded
from sandbank.places import Description, cursor_in
from sandbank.results import Result, result_of_run
from sandbank.v1 import (
    checkpoint_pb2,
    execution_pb2,
    file_pb2,
    info_pb2,
    pool_pb2,
    session_pb2,
    state_pb2,
    transaction_pb2,
    variable_pb2,
)
from sandbank.values import Value

T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and how to read its answer.

    `timeout` in seconds bounds each try. Unset: the connection's `call_timeout`; `create`: its
    `create_timeout`, for what may wait for a sandbox; None: no bound.
    """

    method: rpc.Method[Any, Any]
    request: Any
    read: Callable[[Any], T]
    timeout: float | str | None = "call"


@dataclass(frozen=True)
class Listing(Generic[T]):
    """The first request of a listing in pages, and the name of the answer's field."""

    method: rpc.Method[Any, Any]
    request: Any
    field: str


Made: TypeAlias = tuple[session_pb2.Session, checkpoint_pb2.RestoreReport | None]
"""A new session, and what came back where it was made of a checkpoint."""


def create_session(options: requests.SessionOptions) -> Call[Made]:
    """Create a session."""

    def read(answer: session_pb2.CreateSessionResponse) -> Made:
        return answer.session, answer.restore_report if answer.HasField("restore_report") else None

    return Call(rpc.CREATE_SESSION, requests.create_session(options), read, "create")


def get_session(session_id: str) -> Call[session_pb2.Session]:
    """Describe a session."""
    request = session_pb2.GetSessionRequest(session_id=session_id)
    return Call(rpc.GET_SESSION, request, lambda answer: answer.session)


def list_sessions(
    labels: Mapping[str, str] | None, states: Iterable[str | int], page_size: int
) -> Listing[session_pb2.Session]:
    """List sessions; states are names without their prefix, or enum values."""
    numbers: Any = [requests.enum_number(session_pb2.Session.State, "STATE_", state) for state in states]
    request = session_pb2.ListSessionsRequest(page_size=page_size, filter_labels=labels or {}, states=numbers)
    return Listing(rpc.LIST_SESSIONS, request, "sessions")


def update_session(
    session_id: str,
    labels: Mapping[str, str] | None,
    idle_timeout: requests.Seconds | None,
    extend_lifetime: requests.Seconds | None,
) -> Call[session_pb2.Session]:
    """Change a session."""
    request = session_pb2.UpdateSessionRequest(
        session_id=session_id,
        labels=labels or {},
        idle_timeout=requests.duration(idle_timeout),
        extend_lifetime=requests.duration(extend_lifetime),
    )
    return Call(rpc.UPDATE_SESSION, request, lambda answer: answer.session)


def reset_session(session_id: str, keep_files: bool) -> Call[session_pb2.Session]:
    """Reset a session."""
    request = session_pb2.ResetSessionRequest(session_id=session_id, keep_files=keep_files)
    return Call(rpc.RESET_SESSION, request, lambda answer: answer.session, "create")


def hibernate_session(session_id: str) -> Call[session_pb2.Session]:
    """Save a session's state and give its sandbox up. Unbounded here: it takes as long as the state is large."""
    request = session_pb2.HibernateSessionRequest(session_id=session_id)
    return Call(rpc.HIBERNATE_SESSION, request, lambda answer: answer.session, None)


def rewind_session(session_id: str, operation_id: str) -> Call[session_pb2.Session]:
    """Go back to the state right after an operation."""
    request = session_pb2.RewindSessionRequest(session_id=session_id, operation_id=operation_id)
    return Call(rpc.REWIND_SESSION, request, lambda answer: answer.session)


def fork_session(
    session_id: str, count: int, labels: Mapping[str, str] | None, request_id: str | None
) -> Call[list[Made]]:
    """Make new sessions of a session's state now."""

    def read(answer: session_pb2.ForkSessionResponse) -> list[Made]:
        return list(zip_longest(answer.sessions, answer.restore_reports))

    request = session_pb2.ForkSessionRequest(
        session_id=session_id,
        request_id=request_id or requests.new_id("fork"),
        count=count,
        labels=labels or {},
    )
    return Call(rpc.FORK_SESSION, request, read, None)


def checkpoint(
    session_id: str, labels: Mapping[str, str] | None, verify: bool, request_id: str | None
) -> Call[checkpoint_pb2.Checkpoint]:
    """Save a session's state. Unbounded here: it takes as long as the state is large."""
    request = state_pb2.CheckpointRequest(
        session_id=session_id,
        request_id=request_id or requests.new_id("checkpoint"),
        labels=labels or {},
        verify=verify,
    )
    return Call(rpc.CHECKPOINT, request, lambda answer: answer.checkpoint, None)


def restore(session_id: str, checkpoint_id: str, allow_lost: bool) -> Call[state_pb2.RestoreResponse]:
    """Replace a session's state by a checkpoint's. Unbounded here, as saving."""
    request = state_pb2.RestoreRequest(
        session_id=session_id, checkpoint_id=checkpoint_id, allow_lost=allow_lost
    )
    return Call(rpc.RESTORE, request, lambda answer: answer, None)


def get_checkpoint(checkpoint_id: str) -> Call[checkpoint_pb2.Checkpoint]:
    """Describe a checkpoint with all that is in it."""
    request = state_pb2.GetCheckpointRequest(checkpoint_id=checkpoint_id)
    return Call(rpc.GET_CHECKPOINT, request, lambda answer: answer.checkpoint)


def list_checkpoints(session_id: str, page_size: int) -> Listing[checkpoint_pb2.Checkpoint]:
    """List a session's checkpoints; of all sessions where the id is empty."""
    request = state_pb2.ListCheckpointsRequest(session_id=session_id, page_size=page_size)
    return Listing(rpc.LIST_CHECKPOINTS, request, "checkpoints")


def delete_checkpoint(checkpoint_id: str) -> Call[None]:
    """Forget a checkpoint."""
    request = state_pb2.DeleteCheckpointRequest(checkpoint_id=checkpoint_id)
    return Call(rpc.DELETE_CHECKPOINT, request, _nothing)


def delete_session(session_id: str) -> Call[None]:
    """End a session."""
    return Call(rpc.DELETE_SESSION, session_pb2.DeleteSessionRequest(session_id=session_id), _nothing)


def run(request: execution_pb2.ExecuteRequest) -> Call[Result]:
    """Run code in one call. Unbounded here: the operation's own timeout bounds it, once its turn comes."""
    return Call(rpc.RUN, execution_pb2.RunRequest(execute=request), result_of_run, None)


def get_operation(session_id: str, operation_id: str) -> Call[execution_pb2.Operation]:
    """Read an operation."""
    request = execution_pb2.GetOperationRequest(session_id=session_id, operation_id=operation_id)
    return Call(rpc.GET_OPERATION, request, lambda answer: answer.operation)


def list_operations(session_id: str, page_size: int) -> Listing[execution_pb2.Operation]:
    """List a session's operations."""
    request = execution_pb2.ListOperationsRequest(session_id=session_id, page_size=page_size)
    return Listing(rpc.LIST_OPERATIONS, request, "operations")


def cancel_operation(session_id: str, operation_id: str) -> Call[execution_pb2.Operation]:
    """Ask for an operation to stop."""
    request = execution_pb2.CancelOperationRequest(session_id=session_id, operation_id=operation_id)
    return Call(rpc.CANCEL_OPERATION, request, lambda answer: answer.operation)


def provide_input(request: execution_pb2.ProvideInputRequest) -> Call[None]:
    """Answer an operation's request for input."""
    return Call(rpc.PROVIDE_INPUT, request, _nothing)


def begin_transaction(
    session_id: str, idle_timeout: requests.Seconds | None, include_files: bool
) -> Call[transaction_pb2.Transaction]:
    """Begin a transaction. Unbounded here: it waits for the operations before it."""
    request = execution_pb2.BeginTransactionRequest(
        session_id=session_id, idle_timeout=requests.duration(idle_timeout), include_files=include_files
    )
    return Call(rpc.BEGIN_TRANSACTION, request, lambda answer: answer.transaction, None)


def commit_transaction(session_id: str, transaction_id: str) -> Call[transaction_pb2.Transaction]:
    """Commit a transaction. Unbounded here: it waits for a member that is running."""
    request = execution_pb2.CommitTransactionRequest(session_id=session_id, transaction_id=transaction_id)
    return Call(rpc.COMMIT_TRANSACTION, request, lambda answer: answer.transaction, None)


def rollback_transaction(session_id: str, transaction_id: str) -> Call[transaction_pb2.Transaction]:
    """Roll a transaction back. Unbounded here: it waits for a member that is running."""
    request = execution_pb2.RollbackTransactionRequest(session_id=session_id, transaction_id=transaction_id)
    return Call(rpc.ROLLBACK_TRANSACTION, request, lambda answer: answer.transaction, None)


def list_variables(
    session_id: str, transaction_id: str, prefix: str, private: bool, page_size: int
) -> Listing[variable_pb2.Variable]:
    """List variables."""
    request = state_pb2.ListVariablesRequest(
        session_id=session_id,
        transaction_id=transaction_id,
        name_prefix=prefix,
        include_private=private,
        page_size=page_size,
    )
    return Listing(rpc.LIST_VARIABLES, request, "variables")


def get_variable(
    session_id: str, transaction_id: str, name: str, value_format: str | int, max_bytes: int
) -> Call[Value]:
    """Read a variable's value."""
    number: Any = requests.enum_number(state_pb2.ValueFormat, "VALUE_FORMAT_", value_format)
    request = state_pb2.GetVariableRequest(
        session_id=session_id,
        transaction_id=transaction_id,
        name=name,
        format=number,
        max_bytes=max_bytes,
    )
    return Call(rpc.GET_VARIABLE, request, Value.of)


def set_variable(
    session_id: str, transaction_id: str, name: str, value: Encoded
) -> Call[variable_pb2.VariableChange | None]:
    """Bind a variable. Unbounded here: it takes its turn among the operations."""
    given: dict[str, Any] = (
        {"arrow": value.data} if value.format == "arrow" else {"json": value.data.decode()}
    )
    request = state_pb2.SetVariableRequest(
        session_id=session_id,
        transaction_id=transaction_id,
        name=name,
        arrow_as=value.arrow_as,  # type: ignore[arg-type]
        **given,
    )
    return Call(rpc.SET_VARIABLE, request, change_of, None)


def change_of(answer: Any) -> variable_pb2.VariableChange | None:
    """Return what binding a variable changed, None where it had that value already."""
    return answer.change if answer.HasField("change") else None


def complete(
    session_id: str, transaction_id: str, code: str, cursor: int | None
) -> Call[state_pb2.CompleteResponse]:
    """Complete code at the cursor."""
    request = state_pb2.CompleteRequest(
        session_id=session_id,
        transaction_id=transaction_id,
        code=code,
        cursor_position=cursor_in(code, cursor),
    )
    return Call(rpc.COMPLETE, request, lambda answer: answer)


def inspect(
    session_id: str, transaction_id: str, code: str, cursor: int | None, detail: int
) -> Call[Description]:
    """Describe what is at the cursor."""
    request = state_pb2.InspectRequest(
        session_id=session_id,
        transaction_id=transaction_id,
        code=code,
        cursor_position=cursor_in(code, cursor),
        detail_level=detail,
    )
    return Call(rpc.INSPECT, request, Description.of)


def list_files(session_id: str, path: str, recursive: bool, page_size: int) -> Listing[file_pb2.FileInfo]:
    """List a directory."""
    request = file_pb2.ListFilesRequest(
        session_id=session_id, path=path, recursive=recursive, page_size=page_size
    )
    return Listing(rpc.LIST_FILES, request, "files")


def stat_file(session_id: str, path: str) -> Call[file_pb2.FileInfo]:
    """Describe a file."""
    request = file_pb2.StatFileRequest(session_id=session_id, path=path)
    return Call(rpc.STAT_FILE, request, lambda answer: answer.file)


def delete_file(session_id: str, path: str, recursive: bool) -> Call[None]:
    """Delete a file or directory."""
    request = file_pb2.DeleteFileRequest(session_id=session_id, path=path, recursive=recursive)
    return Call(rpc.DELETE_FILE, request, _nothing)


def make_directory(session_id: str, path: str) -> Call[file_pb2.FileInfo]:
    """Make a directory."""
    request = file_pb2.MakeDirectoryRequest(session_id=session_id, path=path)
    return Call(rpc.MAKE_DIRECTORY, request, lambda answer: answer.file)


def get_pool(template: str) -> Call[pool_pb2.Pool]:
    """Read a pool."""
    return Call(rpc.GET_POOL, pool_pb2.GetPoolRequest(template=template), lambda answer: answer.pool)


def list_pools() -> Call[list[pool_pb2.Pool]]:
    """Read all pools."""
    return Call(rpc.LIST_POOLS, pool_pb2.ListPoolsRequest(), lambda answer: list(answer.pools))


def resize_pool(template: str, min_ready: int, max_total: int) -> Call[pool_pb2.Pool]:
    """Change a pool's size."""
    request = pool_pb2.ResizePoolRequest(template=template, min_ready=min_ready, max_total=max_total)
    return Call(rpc.RESIZE_POOL, request, lambda answer: answer.pool)


def list_sandboxes(template: str, page_size: int) -> Listing[pool_pb2.Sandbox]:
    """List sandboxes."""
    request = pool_pb2.ListSandboxesRequest(template=template, page_size=page_size)
    return Listing(rpc.LIST_SANDBOXES, request, "sandboxes")


def server_info() -> Call[info_pb2.GetServerInfoResponse]:
    """Describe the server."""
    return Call(rpc.GET_SERVER_INFO, info_pb2.GetServerInfoRequest(), lambda answer: answer)


def list_templates() -> Call[list[info_pb2.Template]]:
    """Describe all templates."""
    return Call(rpc.LIST_TEMPLATES, info_pb2.ListTemplatesRequest(), lambda answer: list(answer.templates))


def get_template(name: str) -> Call[info_pb2.Template]:
    """Describe a template."""
    return Call(rpc.GET_TEMPLATE, info_pb2.GetTemplateRequest(template=name), lambda answer: answer.template)


def _nothing(_answer: Any) -> None:
    return None
