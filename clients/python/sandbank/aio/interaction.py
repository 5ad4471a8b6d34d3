"""Many operations of one session on one stream."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import ExitStack
from typing import Any, Self, Unpack

import grpc
import grpc.aio

from sandbank import calls, requests, rpc
from sandbank.aio.execution import AsyncRunning, InputCallback
from sandbank.aio.transport import Transport, error_from_writing
from sandbank.errors import SandbankError
from sandbank.events import Event
from sandbank.facade import Prepare
from sandbank.interact import Entry, Exchange
from sandbank.reasons import NotWaitingForInput
from sandbank.results import Callbacks, DisplayCallback, Result, TextCallback
from sandbank.tracing import client_span
from sandbank.v1 import execution_pb2


class AsyncInteraction:
    """One stream for many operations of a session, in the order in which they are sent.

    `execute` sends at once, without waiting for what was sent before. What the server refuses raises from that
    operation's events or result, and the stream goes on. A stream that breaks is opened again, and no operation
    runs twice; a refused one is not sent again by itself, as what follows may depend on the order.

    At the end of an `async with` block it waits until all operations are over, unless the block raised. It is read
    only while somebody waits for an event: who leaves output unread slows its operation down in the end.
    """

    def __init__(self, transport: Transport, session_id: str, prepare: Prepare) -> None:
        self._transport = transport
        self._prepare = prepare
        self._exchange = Exchange(session_id, transport.connection.retry, time.monotonic)
        self._reading: asyncio.Task[None] | None = None
        self._closed = False
        self._stream: _Stream | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if error is None:
                await self._wait(lambda: not self._exchange.unfinished)
        finally:
            await self.close()

    async def close(self) -> None:
        """End the stream; operations go on, and their events and results can still be had."""
        self._closed = True
        self._exchange.leave()
        self._drop()
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading

    def execute(self, code: str, **options: Unpack[requests.ExecuteOptions]) -> AsyncStreamedExecution:
        """Send code, with its events and its result to be had from what is returned."""
        follower, request = self._prepare(code, options)
        if self._closed:
            raise ValueError("this stream was closed")
        entry = self._exchange.execute(follower, request)
        self._flush()
        return AsyncStreamedExecution(self._transport, entry, self._events(entry), self._ask)

    async def run(
        self,
        code: str,
        *,
        on_stdout: TextCallback | None = None,
        on_stderr: TextCallback | None = None,
        on_display: DisplayCallback | None = None,
        input: InputCallback | None = None,  # noqa: A002 - what it stands for in the session
        check: bool = True,
        **options: Unpack[requests.ExecuteOptions],
    ) -> Result:
        """Run code and wait for its end, as `AsyncSession.run` does."""
        if input is not None:
            options = {"allow_input": True, **options}
        callbacks = Callbacks(on_stdout, on_stderr, on_display)
        execution = self.execute(code, **options)
        return await execution.result(check=check, callbacks=callbacks, input=input)

    async def _events(self, entry: Entry) -> AsyncGenerator[Event, None]:
        while True:
            await self._wait(lambda: bool(entry.events) or entry.over)
            while entry.events:
                yield entry.events.popleft()
            if entry.error is not None:
                raise entry.error
            if entry.elsewhere:
                async for event in self._transport.follow(entry.follower):
                    yield event
            if entry.over:
                return

    def _ask(self, entry: Entry, ask: Callable[[Exchange], None]) -> bool:
        """Send something about an operation; False where the stream is not the way to it any more."""
        if entry.elsewhere:
            return False
        if not entry.over:
            ask(self._exchange)
            self._flush()
        return True

    async def _wait(self, ready: Callable[[], bool]) -> None:
        """Wait until `ready`; one task reads for all who wait."""
        while not ready():
            if self._reading is None:
                self._reading = asyncio.create_task(self._read())
            reading = self._reading
            # Whoever stops waiting must not take the message, or the whole call, away from the others.
            await asyncio.wait({reading})
            if not reading.cancelled():
                reading.result()

    async def _read(self) -> None:
        """Read one message, or see to the next stream."""
        try:
            self._flush()
            assert self._stream is not None
            error: SandbankError | None = None
            message: Any = grpc.aio.EOF
            try:
                message = await self._stream.call.read()
            except grpc.RpcError as failure:
                error = error_from_writing(failure)
            if self._closed:
                return
            if message is not grpc.aio.EOF:
                self._exchange.received(message)
                return
            self._drop()
            delay = self._exchange.failed(error)
            if delay:
                await asyncio.sleep(delay)
        finally:
            self._reading = None

    def _flush(self) -> None:
        if self._closed:
            return
        if self._stream is None:
            self._stream = _Stream(self._transport)
        for request in self._exchange.take():
            self._stream.requests.put_nowait(request)

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.end()
        self._stream = None


class _Stream:
    """One Interact call."""

    def __init__(self, transport: Transport) -> None:
        self.requests: asyncio.Queue[execution_pb2.InteractRequest | None] = asyncio.Queue()
        self._open = ExitStack()
        connection = transport.connection
        metadata = self._open.enter_context(
            client_span(rpc.INTERACT.service, rpc.INTERACT.name, connection.metadata())
        )
        self.call: Any = transport.converse(rpc.INTERACT, self._outgoing(), metadata)

    def end(self) -> None:
        """End it."""
        self.requests.put_nowait(None)
        self.call.cancel()  # does nothing to a call that has ended
        self._open.close()

    async def _outgoing(self) -> AsyncIterator[execution_pb2.InteractRequest]:
        while (request := await self.requests.get()) is not None:
            yield request


class AsyncStreamedExecution(AsyncRunning):
    """An operation on an Interact stream. It has been sent."""

    def __init__(
        self,
        transport: Transport,
        entry: Entry,
        events: AsyncGenerator[Event, None],
        ask: Callable[[Entry, Callable[[Exchange], None]], bool],
    ) -> None:
        super().__init__(transport, entry.follower, events)
        self._entry, self._ask = entry, ask

    async def cancel(self) -> None:
        """Ask for it to stop; the events tell when it has."""
        if not self._ask(self._entry, lambda exchange: exchange.cancel(self._entry)):
            await self._transport.call(calls.cancel_operation(self.session_id, self.operation_id))

    async def provide_input(self, input_id: str, text: str | None) -> None:
        """Answer an InputRequested with a line (without its end), or with the end of the input for None.

        One that was answered before, or is over, is no error here.
        """
        request = requests.provide_input(self.session_id, self.operation_id, input_id, text)
        if not self._ask(self._entry, lambda exchange: exchange.provide_input(self._entry, request)):
            with contextlib.suppress(NotWaitingForInput):
                await self._transport.call(calls.provide_input(request))
