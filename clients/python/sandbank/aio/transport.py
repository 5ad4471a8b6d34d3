"""Calls over a grpc.aio channel: errors mapped, retried where that is safe, traced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any, TypeVar

import grpc
import grpc.aio
import tenacity
from google.protobuf.message import Message

from sandbank.calls import Call, Listing
from sandbank.connection import Connection
from sandbank.errors import Internal, SandbankError, Unavailable
from sandbank.events import Event
from sandbank.follow import Follower, OpenStream
from sandbank.retrying import tenacity_options
from sandbank.rpc import GET_OPERATION, Method
from sandbank.status import error_from_rpc
from sandbank.tracing import client_span

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
T = TypeVar("T")

_MASKED_STATUS = "Internal error from Core"


class Transport:
    """One channel to the server, of the event loop that first uses it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._channel: Any = None
        self._callables: dict[tuple[str, str], Any] = {}

    async def close(self) -> None:
        """End the channel and every call on it."""
        if self._channel is not None:
            await self._channel.close()

    async def call(self, call: Call[T]) -> T:
        """Make a call and return what it wants of the answer."""
        timeout = self.connection.bound(call.timeout)
        return call.read(
            await self._repeating(call.method, self._unary_once, call.method, call.request, timeout)
        )

    async def upload(
        self, method: Method[RequestT, ResponseT], messages: Callable[[], Iterable[RequestT]]
    ) -> ResponseT:
        """Many messages, one answer; `messages` begins anew for each try."""
        return await self._repeating(method, self._upload_once, method, messages)

    async def stream(
        self, method: Method[RequestT, ResponseT], request: RequestT, timeout: float | None = None
    ) -> AsyncGenerator[ResponseT, None]:
        """One request, many answers. Not retried here: only the caller knows what it has seen already."""
        with client_span(method.service, method.name, self.connection.metadata()) as metadata:
            call = self._callable("unary_stream", method)(request, timeout=timeout, metadata=metadata)
            try:
                async for message in call:
                    yield message
            except grpc.RpcError as failure:
                raise error_from_rpc(failure) from None
            finally:
                call.cancel()  # does nothing to a call that has ended

    def converse(
        self, method: Method[Any, Any], requests: AsyncIterator[Any], metadata: list[tuple[str, str]]
    ) -> Any:
        """Many requests, many answers: grpc's own call, whose errors the caller maps."""
        return self._callable("stream_stream", method)(requests, metadata=metadata)

    async def pages(self, listing: Listing[T]) -> AsyncIterator[T]:
        """Iterate over the items of all pages of a listing, fetched as they are needed."""
        page = Call(listing.method, listing.request, lambda answer: answer)
        while True:
            response = await self.call(page)
            for item in getattr(response, listing.field):
                yield item
            if not response.next_page_token:
                return
            page.request.page_token = response.next_page_token

    async def follow(self, follower: Follower) -> AsyncGenerator[Event, None]:
        """Return the events of an operation up to Finished, over as many connections as it takes."""
        while (step := follower.next_step()) is not None:
            if step.delay:
                await asyncio.sleep(step.delay)
            try:
                if isinstance(step, OpenStream):
                    async with aclosing(self.stream(step.method, step.request)) as messages:
                        async for message in messages:
                            for event in follower.received(message):
                                yield event
                            if follower.finished:
                                return
                    follower.ended()
                else:
                    answer = await self._unary_once(
                        GET_OPERATION, step.request, self.connection.bound("call")
                    )
                    for event in follower.read(answer.operation):
                        yield event
            except SandbankError as error:
                for event in follower.failed(error):
                    yield event

    async def _repeating(self, method: Method[Any, Any], once: Callable[..., Awaitable[T]], *args: Any) -> T:
        options = tenacity_options(self.connection.retry, method.repeat)
        return await tenacity.AsyncRetrying(**options)(once, *args)

    async def _unary_once(
        self, method: Method[RequestT, ResponseT], request: RequestT, timeout: float | None
    ) -> ResponseT:
        with client_span(method.service, method.name, self.connection.metadata()) as metadata:
            try:
                answer: ResponseT = await self._callable("unary_unary", method)(
                    request, timeout=timeout, metadata=metadata
                )
            except grpc.RpcError as failure:
                raise error_from_rpc(failure) from None
            return answer

    async def _upload_once(
        self, method: Method[RequestT, ResponseT], messages: Callable[[], Iterable[RequestT]]
    ) -> ResponseT:
        with client_span(method.service, method.name, self.connection.metadata()) as metadata:
            try:
                # Reading a chunk of a local file is short: it is read in the loop, which a thread would not
                # better.
                answer: ResponseT = await self._callable("stream_unary", method)(
                    iter(messages()), metadata=metadata
                )
            except grpc.RpcError as failure:
                raise error_from_writing(failure) from None
            return answer

    def _callable(self, kind: str, method: Method[Any, Any]) -> Any:
        if self._channel is None:
            self._channel = _open_channel(self.connection)
        found = self._callables.get((kind, method.path))
        if found is None:
            make = getattr(self._channel, kind)
            found = make(method.path, request_serializer=method.serialize, response_deserializer=method.parse)
            self._callables[kind, method.path] = found
        return found

    def _bound(self, timeout: float | str | None) -> float | None:
        return self.connection.bound(timeout)


def error_from_writing(failure: grpc.RpcError) -> SandbankError:
    """Return the exception for a failed call that sends many messages.

    Where the server ends it while a message is being sent, grpc.aio may put an INTERNAL of its own in the place of
    the server's status (grpc issue 36066). What the server said is lost then, as with a connection that broke:
    whoever repeats the call will hear it.
    """
    error = error_from_rpc(failure)
    if isinstance(error, Internal) and not error.reason and error.message.startswith(_MASKED_STATUS):
        return Unavailable(error.message)
    return error


def _open_channel(connection: Connection) -> Any:
    credentials, options = connection.credentials(), connection.channel_options()
    if credentials is None:
        return grpc.aio.insecure_channel(connection.address, options=options)
    return grpc.aio.secure_channel(connection.address, credentials, options=options)
