"""From Python values to the API's requests: the options of sessions and operations, ids, durations."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeAlias, TypedDict, TypeVar

from google.protobuf.duration_pb2 import Duration

from sandbank.v1 import execution_pb2, session_pb2, transaction_pb2

Seconds: TypeAlias = float | timedelta
T = TypeVar("T")


class SessionOptions(TypedDict, total=False):
    """What a new session may be given; what is left out is the server's default.

    Times are seconds or timedelta. Policies are names without their prefix (`"manual"`) or enum values.
    `secret_env` shows in no log, listing or error. `request_id` makes creating idempotent across programs.
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
    recompute: bool
    from_checkpoint_id: str
    request_id: str


class ExecuteOptions(TypedDict, total=False):
    """How code may be run; what is left out is the server's default.

    `timeout` bounds the code (seconds or timedelta). `operation_id` is the idempotency key, made by the
    client when left out: the same id and code never run twice. `tx_policy` and `isolation` are names without
    their prefix (`"commit_on_success"`, `"namespace"`) or enum values.
    """

    timeout: Seconds | None
    operation_id: str | None
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


def execute(session_id: str, code: str, options: ExecuteOptions) -> execution_pb2.ExecuteRequest:
    """Return the request of Execute and Run, with an operation_id so that it may be repeated."""
    given: dict[str, Any] = dict(options)
    given["operation_id"] = given.get("operation_id") or new_id("op")
    given["timeout"] = duration(given.get("timeout"))
    for name, enum, prefix in (
        ("tx_policy", transaction_pb2.TxPolicy, "TX_POLICY_"),
        ("isolation", transaction_pb2.Isolation, "ISOLATION_"),
    ):
        if name in given:
            given[name] = enum_number(enum, prefix, given[name])
    return build(execution_pb2.ExecuteRequest, {"session_id": session_id, "code": code, **given})


def build(cls: type[T], fields: Mapping[str, Any]) -> T:
    """Return a message from its fields; None means unset, text with lone surrogates is a ValueError."""
    try:
        return cls(**{name: value for name, value in fields.items() if value is not None})
    except UnicodeEncodeError as error:
        raise ValueError(f"not valid text: {error.reason}") from None
