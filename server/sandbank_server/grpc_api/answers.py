"""Answers to questions of operations, checked: the same for ProvideInput and Interact."""

from __future__ import annotations

from typing import Final

from sandbank.v1 import execution_pb2

from sandbank_server.errors import BadFieldError
from sandbank_server.grpc_api import validation as check
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.sessions.manager import SessionManager

TEXT_BYTES: Final = 1024 * 1024
"""The longest answer."""


async def answer(
    sessions: SessionManager, request: execution_pb2.ProvideInputRequest, call: CallContext, path: str
) -> None:
    """Hand on an answer. Its session is checked already; ``path`` leads to the request in errors."""
    check.check_id(request.operation_id, f"{path}operation_id")
    check.check_id(request.input_id, f"{path}input_id")
    kind = request.WhichOneof("reply")
    if kind is None:
        raise BadFieldError.at(f"{path}reply", "must be text or end_of_file")
    if kind == "end_of_file" and not request.end_of_file:
        raise BadFieldError.at(f"{path}end_of_file", "must be true where it is set")
    if len(request.text) > TEXT_BYTES or len(request.text.encode()) > TEXT_BYTES:
        raise BadFieldError.at(f"{path}text", f"must not be over {TEXT_BYTES} bytes")
    text = request.text if kind == "text" else None
    await sessions.provide_input(
        call.tenant, request.session_id, request.operation_id, request.input_id, text
    )
