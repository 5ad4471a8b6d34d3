"""What a sandbox says of a place in code, checked: everything in it may be a lie, but it is bounded and well-formed."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import DecodeError
from sandbank.v1 import state_pb2, variable_pb2
from sandbank_runner.v1 import runner_pb2

from sandbank_server.runners.frames import RunnerViolation

RESPONSE_BYTES = 8 * 1024 * 1024
"""Largest answer."""

_MATCHES = 1000
_TEXT_CHARACTERS = 2000
_TYPES = 8

_Response = TypeVar("_Response", state_pb2.CompleteResponse, state_pb2.InspectResponse)


def check_completion(result: runner_pb2.ReadResult, cursor: int) -> state_pb2.CompleteResponse:
    """Return ways to complete code before ``cursor``. :class:`RunnerViolation` unless they can be that."""
    response = _parsed(state_pb2.CompleteResponse, result)
    if not 0 <= response.start_position <= response.end_position or response.end_position != cursor:
        raise RunnerViolation("a completion of another place")
    if len(response.matches) > _MATCHES:
        raise RunnerViolation(f"{len(response.matches)} completions")
    for match in response.matches:
        if any(len(text) > _TEXT_CHARACTERS for text in (match.text, match.type, match.signature)):
            raise RunnerViolation("a completion of too many words")
    response.as_of.CopyFrom(_as_of(result))
    return response


def check_description(result: runner_pb2.ReadResult) -> state_pb2.InspectResponse:
    """Return a description. :class:`RunnerViolation` unless it can be one."""
    response = _parsed(state_pb2.InspectResponse, result)
    if len(response.data) > _TYPES or bool(response.data) != response.found:
        raise RunnerViolation("a malformed description")
    if not all(0 < len(mime) <= _TEXT_CHARACTERS and mime.isprintable() for mime in response.data):
        raise RunnerViolation("a malformed type of a description")
    response.as_of.CopyFrom(_as_of(result))
    return response


def _parsed(kind: type[_Response], result: runner_pb2.ReadResult) -> _Response:
    if len(result.response) > RESPONSE_BYTES:
        raise RunnerViolation(f"an answer of {len(result.response)} bytes")
    try:
        response = kind.FromString(result.response)
    except DecodeError as error:
        raise RunnerViolation("malformed answer") from error
    response.DiscardUnknownFields()
    return response


def _as_of(result: runner_pb2.ReadResult) -> variable_pb2.AsOf:
    return variable_pb2.AsOf(operation_id=result.as_of_operation_id, stale=result.stale)
