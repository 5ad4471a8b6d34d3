"""From Python values to the API's requests: the options of sessions and operations, ids, durations."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar

from google.protobuf.duration_pb2 import Duration

from sandbank.v1 import execution_pb2, session_pb2, transaction_pb2

Seconds: TypeAlias = float | timedelta
OnFailure: TypeAlias = Literal["keep", "rollback"]
T = TypeVar("T")

_ON_FAILURE = {"keep": "none", "rollback": "rollback_on_failure"}


class SessionOptions(TypedDict, total=False):
    """What a new session may be given; what is left out is the server's default.

    Times are seconds or timedelta. Policies are names without their prefix (`"manual"`) or enum values.
    `secret_env` shows in no log, listing or error. `request_id` makes creating idempotent across programs.
    `history` is how many earlier states `rewind` can go back to; `snapshots=False` gives up what depends on them;
    `quiet_time` is how long after an operation the safety snapshot is taken. They make the `snapshot_policy`.
    """

    template: str
    env: Mapping[str, str]
    secret_env: Mapping[str, str]
    labels: Mapping[str, str]
    idle_timeout: Seconds
    max_lifetime: Seconds
    recovery_policy: str | int
    checkpoint_policy: str | int
    idle_action: str | int
    snapshot_policy: session_pb2.SnapshotPolicy
    history: int
    snapshots: bool
    quiet_time: Seconds
    recompute: bool
    from_checkpoint_id: str
    request_id: str


class ExecuteOptions(TypedDict, total=False):
    """How code may be run; what is left out is the server's default.

    `timeout` bounds the code (seconds or timedelta). `operation_id` is the idempotency key, made by the
    client when left out: the same id and code never run twice.

    `on_failure="rollback"` undoes all that the code did where it does not succeed; `"keep"` is the default. It is
    short for the `tx_policy`, which has more: names without their prefix (`"commit_on_success"`, `"explicit"`) or
    enum values, as for `isolation` (`"namespace"`). `include_files` rolls the workspace's files back too.
    """

    timeout: Seconds | None
    operation_id: str | None
    on_failure: OnFailure
    tx_policy: str | int
    isolation: str | int
    transaction_id: str
    report_changes: bool
    allow_input: bool
    include_files: bool
    max_output_bytes: int
    cancel_on_disconnect: bool


def new_id(kind: str) -> str:
    """Return a fresh id, such as `op-3f2a…`: 96 random bits."""
    return f"{kind}-{secrets.token_hex(12)}"


def duration(value: Seconds | None) -> Duration | None:
    """Return a duration message; None stays None, which means the default."""
    if value is None:
        return None
    delta = value if isinstance(value, timedelta) else timedelta(seconds=value)
    message = Duration()
    message.FromTimedelta(delta)
    return message


def enum_number(enum: Any, prefix: str, value: str | int) -> int:
    """Return an enum's number from its name, with or without the prefix, in any case."""
    if isinstance(value, int):
        return value
    name = value.upper().replace("-", "_")
    full = name if name.startswith(prefix) else prefix + name
    known_names = list(enum.keys())
    if full not in known_names:
        known = ", ".join(
            k.removeprefix(prefix).lower() for k in known_names if not k.endswith("_UNSPECIFIED")
        )
        raise ValueError(f"{value!r} is not one of {known}")
    return int(enum.Value(full))


def create_session(options: SessionOptions) -> session_pb2.CreateSessionRequest:
    """Return the request of CreateSession, with a request_id so that it may be repeated."""
    given: dict[str, Any] = dict(options)
    given["request_id"] = given.get("request_id") or new_id("rq")
    given["snapshot_policy"] = _snapshot_policy(given)
    for name in ("idle_timeout", "max_lifetime"):
        if name in given:
            given[name] = duration(given[name])
    for name, enum, prefix in (
        ("recovery_policy", session_pb2.RecoveryPolicy, "RECOVERY_POLICY_"),
        ("checkpoint_policy", session_pb2.CheckpointPolicy, "CHECKPOINT_POLICY_"),
        ("idle_action", session_pb2.IdleAction, "IDLE_ACTION_"),
    ):
        if name in given:
            given[name] = enum_number(enum, prefix, given[name])
    return build(session_pb2.CreateSessionRequest, given)


def _snapshot_policy(given: dict[str, Any]) -> session_pb2.SnapshotPolicy | None:
    """Take the options about snapshots out of those given, as a policy."""
    whole: session_pb2.SnapshotPolicy | None = given.pop("snapshot_policy", None)
    history, snapshots = given.pop("history", None), given.pop("snapshots", None)
    quiet_time = given.pop("quiet_time", None)
    if history is None and snapshots is None and quiet_time is None:
        return whole
    if whole is not None:
        raise ValueError(
            "snapshot_policy has all of history, snapshots and quiet_time: give one or the other"
        )
    if history and snapshots is False:
        raise ValueError("a history is made of snapshots")
    return session_pb2.SnapshotPolicy(
        history_count=history or 0, disabled=snapshots is False, quiet_time=duration(quiet_time)
    )


def execute(session_id: str, code: str, options: ExecuteOptions) -> execution_pb2.ExecuteRequest:
    """Return the request of Execute and Run, with an operation_id so that it may be repeated."""
    given: dict[str, Any] = dict(options)
    given["operation_id"] = given.get("operation_id") or new_id("op")
    on_failure = given.pop("on_failure", None)
    if on_failure is not None:
        if "tx_policy" in given:
            raise ValueError("on_failure is short for a tx_policy: give one or the other")
        if on_failure not in _ON_FAILURE:
            raise ValueError(f"on_failure is one of {', '.join(_ON_FAILURE)}, not {on_failure!r}")
        given["tx_policy"] = _ON_FAILURE[on_failure]
    given["timeout"] = duration(given.get("timeout"))
    for name, enum, prefix in (
        ("tx_policy", transaction_pb2.TxPolicy, "TX_POLICY_"),
        ("isolation", transaction_pb2.Isolation, "ISOLATION_"),
    ):
        if name in given:
            given[name] = enum_number(enum, prefix, given[name])
    return build(execution_pb2.ExecuteRequest, {"session_id": session_id, "code": code, **given})


def provide_input(
    session_id: str, operation_id: str, input_id: str, text: str | None
) -> execution_pb2.ProvideInputRequest:
    """Return the request that answers with a line, or with the end of the input for None."""
    reply = {"end_of_file": True} if text is None else {"text": text}
    given = {"session_id": session_id, "operation_id": operation_id, "input_id": input_id, **reply}
    return build(execution_pb2.ProvideInputRequest, given)


def build(cls: type[T], fields: Mapping[str, Any]) -> T:
    """Return a message from its fields; None means unset, text with lone surrogates is a ValueError."""
    try:
        return cls(**{name: value for name, value in fields.items() if value is not None})
    except UnicodeEncodeError as error:
        raise ValueError(f"not valid text: {error.reason}") from None
