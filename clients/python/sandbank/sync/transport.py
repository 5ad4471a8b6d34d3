"""Calls over a grpc channel: errors mapped, retried where that is safe, traced."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Any, TypeVar

import grpc
import tenacity
from google.protobuf.message import Message

from sandbank.calls import Call, Listing
from sandbank.connection import Connection
from sandbank.errors import SandbankError
from sandbank.events import Event
from sandbank.follow import Follower, OpenStream
from sandbank.retrying import tenacity_options
from sandbank.rpc import GET_OPERATION, Method
from sandbank.status import error_from_rpc
from sandbank.tracing import client_span

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
T = TypeVar("T")


class Transport:
    """One channel to the server. Safe to share between threads."""

    def __init__(self, connection: Connection, channel: grpc.Channel | None = None) -> None:
        self.connection = connection
        self._channel: Any = channel if channel is not None else _open_channel(connection)
        self._callables: dict[tuple[str, str], Any] = {}

    def close(self) -> None:
        """End the channel and every call on it."""
        self._channel.close()

    def call(self, call: Call[T]) -> T:
        """Make a call and return what it wants of the answer."""
        timeout = self.connection.bound(call.timeout)
        return call.read(self._repeating(call.method, self._unary_once, call.method, call.request, timeout))

    def upload(
        self, method: Method[RequestT, ResponseT], messages: Callable[[], Iterable[RequestT]]
    ) -> ResponseT:
        """Many messages, one answer; `messages` begins anew for each try."""
        answer: ResponseT = self._repeating(method, self._upload_once, method, messages)
        return answer

    def stream(
        self, method: Method[RequestT, ResponseT], request: RequestT, timeout: float | None = None
    ) -> Generator[ResponseT, None, None]:
        """One request, many answers. Not retried here: only the caller knows what it has seen already."""
        with client_span(method.service, method.name, self.connection.metadata()) as metadata:
            call = self._callable("unary_stream", method)(request, timeout=timeout, metadata=metadata)
            try:
                yield from call
            except grpc.RpcError as failure:
                raise error_from_rpc(failure) from None
            finally:
                call.cancel()  # does nothing to a call that has ended

    def converse(
        self, method: Method[Any, Any], requests: Iterator[Any], metadata: list[tuple[str, str]]
    ) -> Any:
        """Many requests, many answers: grpc's own call, whose errors the caller maps."""
        return self._callable("stream_stream", method)(requests, metadata=metadata)

    def pages(self, listing: Listing[T]) -> Iterator[T]:
        """Iterate over the items of all pages of a listing, fetched as they are needed."""
        page = Call(listing.method, listing.request, lambda answer: answer)
        while True:
            response = self.call(page)
            yield from getattr(response, listing.field)
            if not response.next_page_token:
                return
            page.request.page_token = response.next_page_token

    def follow(self, follower: Follower) -> Generator[Event, None, None]:
        """Return the events of an operation up to Finished, over as many connections as it takes."""
        while (step := follower.next_step()) is not None:
            if step.delay:
                time.sleep(step.delay)
            try:
                if isinstance(step, OpenStream):
                    with closing(self.stream(step.method, step.request)) as messages:
                        for message in messages:
                            yield from follower.received(message)
                            if follower.finished:
                                return
                    follower.ended()
                else:
                    answer = self._unary_once(GET_OPERATION, step.request, self.connection.bound("call"))
                    yield from follower.read(answer.operation)
            except SandbankError as error:
                yield from follower.failed(error)

    def _repeating(self, method: Method[Any, Any], once: Callable[..., T], *args: Any) -> T:
        options = tenacity_options(self.connection.retry, method.repeat)
        answer: T = tenacity.Retrying(**options)(once, *args)
        return answer

    def _unary_once(
        self, method: Method[RequestT, ResponseT], request: RequestT, timeout: float | None
    ) -> ResponseT:
        with client_span(method.service, method.name, self.connection.metadata()) as metadata:
            try:
                answer: ResponseT = self._callable("unary_unary", method)(
                    request, timeout=timeout, metadata=metadata
                )
            except grpc.RpcError as failure:
                raise error_from_rpc(failure) from None
            return answer

    def _upload_once(
        self, method: Method[RequestT, ResponseT], messages: Callable[[], Iterable[RequestT]]
    ) -> ResponseT:
        with client_span(method.service, method.name, self.connection.metadata()) as metadata:
            try:
                answer: ResponseT = self._callable("stream_unary", method)(
                    iter(messages()), metadata=metadata
                )
            except grpc.RpcError as failure:
                raise error_from_rpc(failure) from None
            return answer

    def _callable(self, kind: str, method: Method[Any, Any]) -> Any:
        found = self._callables.get((kind, method.path))
        if found is None:
            make = getattr(self._channel, kind)
            found = make(method.path, request_serializer=method.serialize, response_deserializer=method.parse)
            self._callables[kind, method.path] = found
        return found

    def _bound(self, timeout: float | str | None) -> float | None:
        return self.connection.bound(timeout)


def _open_channel(connection: Connection) -> Any:
    credentials, options = connection.credentials(), connection.channel_options()
    if credentials is None:
        return grpc.insecure_channel(connection.address, options=options)
    return grpc.secure_channel(connection.address, credentials, options=options)
