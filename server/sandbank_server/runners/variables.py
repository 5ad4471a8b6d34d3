"""What a sandbox tells of its variables, checked: everything in it may be a lie, but it is bounded and well-formed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from sandbank.v1 import variable_pb2
from sandbank_runner.v1 import runner_pb2

from sandbank_server.runners.checks import check_counts
from sandbank_server.runners.frames import RunnerViolation

VALUE_BYTES = 15 * 1024 * 1024
"""Largest value that a sandbox gives in one piece."""

_VARIABLE_BYTES = 64 * 1024
_NAME_CHARACTERS = 1000
_TEXT_CHARACTERS = 2000
_DIMENSIONS = 64
_BOUND = (variable_pb2.VariableChange.KIND_ADDED, variable_pb2.VariableChange.KIND_MODIFIED)


@dataclass(frozen=True, slots=True)
class Found:
    """An answer of a sandbox. ``as_of`` is still to be looked up by who knows the operations."""

    variables: list[variable_pb2.Variable]
    more: bool
    data: bytes
    mime_type: str
    as_of: variable_pb2.AsOf


def check_listing(result: runner_pb2.ReadResult, prefix: str, after: str, limit: int) -> Found:
    """Return a page of variables. :class:`RunnerViolation` unless it is one that was asked for."""
    found = _found(result)
    names = [variable.name for variable in found.variables]
    if len(names) > limit or (found.more and not names):
        raise RunnerViolation(f"a page of {len(names)} variables")
    if any(earlier >= later for earlier, later in zip([after, *names], names, strict=False)):
        raise RunnerViolation("variables out of order")
    if not all(name.startswith(prefix) for name in names):
        raise RunnerViolation("variables that were not asked for")
    return found


def check_value(result: runner_pb2.ReadResult, name: str, max_bytes: int) -> Found:
    """Return one variable with its value. :class:`RunnerViolation` unless it is the one that was asked for."""
    found = _found(result)
    if [variable.name for variable in found.variables] != [name]:
        raise RunnerViolation("another variable than asked for")
    if len(found.data) > max_bytes:
        raise RunnerViolation(f"a value of {len(found.data)} bytes")
    mime_of(found.mime_type)
    return found


def check_change(data: bytes, name: str) -> variable_pb2.VariableChange:
    """Return what binding a variable has changed; :class:`RunnerViolation` unless it can be that."""
    if len(data) > _VARIABLE_BYTES:
        raise RunnerViolation(f"change of {len(data)} bytes")
    try:
        change = variable_pb2.VariableChange.FromString(data)
    except DecodeError as error:
        raise RunnerViolation("malformed change") from error
    texts = (change.type_name, change.previous_type_name, change.preview, change.detail)
    if any(len(text) > _TEXT_CHARACTERS for text in texts):
        raise RunnerViolation("a change of too many words")
    if data and (change.name != name or change.kind not in _BOUND):
        raise RunnerViolation("another change than asked for")
    check_counts(change.size_bytes)
    return change


def described(header: dict[str, Any], name: str) -> variable_pb2.Variable:
    """Return what the header of an export says of the variable; :class:`RunnerViolation` unless it can be that."""
    length, shape, unsavable = header.get("length"), header.get("shape"), header.get("unsavable")
    try:
        variable = variable_pb2.Variable(
            name=header.get("name"),
            type_name=header.get("type_name"),
            size_bytes=header.get("size_bytes"),
            serializable=unsavable == "",
            unserializable_reason=unsavable,
            preview=header.get("preview"),
            shape=shape if isinstance(shape, list) else [],
            dtype=header.get("dtype"),
            length=length if isinstance(length, int) else None,
        )
    except (TypeError, ValueError) as error:
        raise RunnerViolation("malformed description") from error
    if variable.name != name:
        raise RunnerViolation("another variable than asked for")
    return _checked(variable)


def mime_of(text: object) -> str:
    """Return the type of a value; :class:`RunnerViolation` unless it can be one."""
    if not isinstance(text, str) or not (0 < len(text) <= _TEXT_CHARACTERS and text.isprintable()):
        raise RunnerViolation("a malformed type of a value")
    return text


def _found(result: runner_pb2.ReadResult) -> Found:
    return Found(
        [_variable(data) for data in result.variables],
        result.more,
        result.data,
        result.mime_type,
        variable_pb2.AsOf(operation_id=result.as_of_operation_id, stale=result.stale),
    )


def _variable(data: bytes) -> variable_pb2.Variable:
    if len(data) > _VARIABLE_BYTES:
        raise RunnerViolation(f"variable of {len(data)} bytes")
    try:
        variable = variable_pb2.Variable.FromString(data)
    except DecodeError as error:
        raise RunnerViolation("malformed variable") from error
    return _checked(variable)


def _checked(variable: variable_pb2.Variable) -> variable_pb2.Variable:
    texts = (variable.type_name, variable.preview, variable.dtype, variable.unserializable_reason)
    if not 0 < len(variable.name) <= _NAME_CHARACTERS or any(len(text) > _TEXT_CHARACTERS for text in texts):
        raise RunnerViolation("a variable of too many words")
    if len(variable.shape) > _DIMENSIONS:
        raise RunnerViolation("a variable of too many dimensions")
    check_counts(variable.size_bytes, variable.length, *variable.shape)
    return variable
