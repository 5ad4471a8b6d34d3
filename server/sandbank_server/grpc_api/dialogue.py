"""The shape of an RPC on which both sides stream and one request's fault does not end the call.

The servicer reads and writes itself, at the same time if it likes: one task may read while another writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.chain import Chain, ClientGoneError
from sandbank_server.grpc_api.messages import RequestParser, ResponseWriter
from sandbank_server.grpc_api.shapes import Method

M = TypeVar("M", bound=Message)


class Dialogue(Generic[M]):
    """A call's two streams."""

    def __init__(self, rpc: grpc.aio.ServicerContext, parse: RequestParser[M], write: ResponseWriter) -> None:
        self._rpc = rpc
        self._parse = parse
        self._write = write

    async def read(self) -> M | None:
        """Return the next request, None where the client has said all.

        Raises :class:`BadFieldError` or :class:`TooLargeError` for one that is none; the next can be read all the same.
        A call that broke looks as if the client had said all, and is cancelled soon after.
        """
        try:
            raw = await self._rpc.read()
        except grpc.aio.BaseError as error:
            raise ClientGoneError from error
        return None if raw is grpc.aio.EOF else self._parse(raw)

    async def write(self, response: Message | bytes) -> None:
        """Send a response; returns when the transport has taken it."""
        try:
            await self._rpc.write(self._write(response))
        except grpc.aio.BaseError as error:
            raise ClientGoneError from error


def is_dialogue(method: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a servicer's method, a coroutine function that takes a :class:`Dialogue` in the place of a request."""
    method.is_dialogue = True  # type: ignore[attr-defined]
    return method


def dialogue(chain: Chain, method: Method) -> grpc.RpcMethodHandler:
    """Return the handler of such a method."""
    name, servicer, parse, write = method.name, method.call, method.parse, method.write

    async def handle(_requests: object, rpc: grpc.aio.ServicerContext) -> None:
        async def body(call: CallContext) -> None:
            await servicer(Dialogue(rpc, parse, write), call)

        await chain.run(name, rpc, body)

    return grpc.stream_stream_rpc_method_handler(handle)
