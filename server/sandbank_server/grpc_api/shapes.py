"""The four shapes of RPC: how a servicer's method meets grpc.

A servicer method takes (request, call) and returns a response; where responses stream it is an async
generator, or returns an async iterator; where requests stream it takes an async iterator of them. Every
handler is a coroutine that reads and writes itself, so that the generator is closed by us, at once, when
the client leaves.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.chain import Chain, ClientGoneError
from sandbank_server.grpc_api.messages import RequestParser, ResponseWriter

Handler = Callable[[Any, grpc.aio.ServicerContext], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC with the servicer's method behind it."""

    name: str
    call: Callable[[Any, CallContext], Any]
    parse: RequestParser[Any]
    write: ResponseWriter


def unary_unary(chain: Chain, method: Method) -> grpc.RpcMethodHandler:
    """One request, one response."""
    name, servicer, parse, write = method.name, method.call, method.parse, method.write

    async def handle(raw: bytes, rpc: grpc.aio.ServicerContext) -> bytes:
        async def body(call: CallContext) -> bytes:
            return write(await servicer(parse(raw), call))

        return await chain.run(name, rpc, body)

    return grpc.unary_unary_rpc_method_handler(handle)


def unary_stream(chain: Chain, method: Method) -> grpc.RpcMethodHandler:
    """One request, many responses."""
    name, servicer, parse, write = method.name, method.call, method.parse, method.write

    async def handle(raw: bytes, rpc: grpc.aio.ServicerContext) -> None:
        async def body(call: CallContext) -> None:
            await _send_all(servicer(parse(raw), call), rpc, write)

        await chain.run(name, rpc, body)

    return grpc.unary_stream_rpc_method_handler(handle)


class Final(bytes):
    """The last response of a stream, serialized: it goes out together with the status, in one write."""


def ends_with_final(method: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a servicer's method whose stream always ends with :class:`Final`, or with an error."""
    method.ends_with_final = True  # type: ignore[attr-defined]
    return method


def unary_stream_final(chain: Chain, method: Method) -> grpc.RpcMethodHandler:
    """One request, many responses, the last of which is known to be it.

    To grpc this is a handler that returns one response: on the wire that is the same, and message and status
    then share a batch. A batch costs two changes of thread, which is much of what a short call costs.
    """
    name, servicer, parse, write = method.name, method.call, method.parse, method.write

    async def handle(raw: bytes, rpc: grpc.aio.ServicerContext) -> bytes:
        async def body(call: CallContext) -> bytes:
            return await _send_until_final(servicer(parse(raw), call), rpc, write)

        return await chain.run(name, rpc, body)

    return grpc.unary_unary_rpc_method_handler(handle)


def stream_unary(chain: Chain, method: Method) -> grpc.RpcMethodHandler:
    """Many requests, one response."""
    name, servicer, parse, write = method.name, method.call, method.parse, method.write

    async def handle(_requests: object, rpc: grpc.aio.ServicerContext) -> bytes:
        async def body(call: CallContext) -> bytes:
            requests = _receive_all(rpc, parse)
            try:
                return write(await servicer(requests, call))
            finally:
                await requests.aclose()

        return await chain.run(name, rpc, body)

    return grpc.stream_unary_rpc_method_handler(handle)


def stream_stream(chain: Chain, method: Method) -> grpc.RpcMethodHandler:
    """Many requests, many responses, in any order."""
    name, servicer, parse, write = method.name, method.call, method.parse, method.write

    async def handle(_requests: object, rpc: grpc.aio.ServicerContext) -> None:
        async def body(call: CallContext) -> None:
            requests = _receive_all(rpc, parse)
            try:
                await _send_all(servicer(requests, call), rpc, write)
            finally:
                await requests.aclose()

        await chain.run(name, rpc, body)

    return grpc.stream_stream_rpc_method_handler(handle)


async def _send_until_final(
    responses: AsyncIterator[Any], rpc: grpc.aio.ServicerContext, write: ResponseWriter
) -> bytes:
    try:
        async for response in responses:
            data = write(response)
            if isinstance(response, Final):
                return data
            try:
                await rpc.write(data)
            except grpc.aio.BaseError as error:
                raise ClientGoneError from error
    finally:
        await _close(responses)
    raise AssertionError("a stream that ends with Final ended without")


async def _send_all(
    responses: AsyncIterator[Any], rpc: grpc.aio.ServicerContext, write: ResponseWriter
) -> None:
    try:
        async for response in responses:
            data = write(response)
            try:
                # Waits until the transport takes it: a slow reader slows the generator, nothing piles up
                # here.
                await rpc.write(data)
            except grpc.aio.BaseError as error:
                raise ClientGoneError from error
    finally:
        await _close(responses)


async def _close(responses: AsyncIterator[Any]) -> None:
    # On a cancelled write the generator is still suspended at its yield.
    close = getattr(responses, "aclose", None)
    if close is not None:
        await close()


async def _receive_all(rpc: grpc.aio.ServicerContext, parse: RequestParser[Any]) -> AsyncGenerator[Any, None]:
    while True:
        try:
            raw = await rpc.read()
        except grpc.aio.BaseError as error:
            raise ClientGoneError from error
        if raw is grpc.aio.EOF:
            await _refuse_broken_end(rpc)
            return
        yield parse(raw)


async def _refuse_broken_end(rpc: grpc.aio.ServicerContext) -> None:
    """Raise ClientGoneError where requests ended because the call broke.

    grpc.aio reports both as EOF, and cancels the call only some turns of the loop later: by then half an
    upload would have been taken for a whole one. A send on a broken call fails at once, so one is tried:
    the initial metadata, which the answer needs anyway.
    """
    try:
        await rpc.send_initial_metadata(())
    except grpc.aio.UsageError:
        return  # sent already, with a first response: a dialogue, whose end is no promise
    except grpc.aio.BaseError as error:
        raise ClientGoneError from error
