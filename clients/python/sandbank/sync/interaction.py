"""Many operations of one session on one stream."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Self, Unpack

import grpc

from sandbank import calls, requests, rpc
from sandbank.errors import SandbankError
from sandbank.events import Event
from sandbank.facade import Prepare
from sandbank.interact import Entry, Exchange
from sandbank.reasons import NotWaitingForInput
from sandbank.results import Callbacks, DisplayCallback, InputCallback, Result, TextCallback
from sandbank.status import error_from_rpc
from sandbank.sync.execution import Running
from sandbank.sync.transport import Transport
from sandbank.tracing import client_span
from sandbank.v1 import execution_pb2


class Interaction:
    """One stream for many operations of a session, in the order in which they are sent; safe between threads.

    `execute` sends at once, without waiting for what was sent before. What the server refuses raises from that
    operation's events or result, and the stream goes on. A stream that breaks is opened again, and no operation
    runs twice; a refused one is not sent again by itself, as what follows may depend on the order.

    At the end of a `with` block it waits until all operations are over, unless the block raised. It is read only
    while somebody waits for an event: who leaves output unread slows its operation down in the end.
    """

    def __init__(self, transport: Transport, session_id: str, prepare: Prepare) -> None:
        self._transport = transport
        self._prepare = prepare
        self._exchange = Exchange(session_id, transport.connection.retry, time.monotonic)
        self._changed = threading.Condition()
        self._reading = False
        self._closed = False
        self._stream: _Stream | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if error is None:
                self._wait(lambda: not self._exchange.unfinished)
        finally:
            self.close()

    def close(self) -> None:
        """End the stream; operations go on, and their events and results can still be had."""
        with self._changed:
            self._closed = True
            self._exchange.leave()
            self._drop()
            self._changed.notify_all()

    def execute(self, code: str, **options: Unpack[requests.ExecuteOptions]) -> StreamedExecution:
        """Send code, with its events and its result to be had from what is returned."""
        follower, request = self._prepare(code, options)
        with self._changed:
            if self._closed:
                raise ValueError("this stream was closed")
            entry = self._exchange.execute(follower, request)
            self._flush()
        return StreamedExecution(self._transport, entry, self._events(entry), self._ask)

    def run(
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
        """Run code and wait for its end, as `Session.run` does."""
        if input is not None:
            options = {"allow_input": True, **options}
        callbacks = Callbacks(on_stdout, on_stderr, on_display)
        return self.execute(code, **options).result(check=check, callbacks=callbacks, input=input)

    def _events(self, entry: Entry) -> Iterator[Event]:
        while True:
            self._wait(lambda: bool(entry.events) or entry.over)
            while entry.events:
                yield entry.events.popleft()
            if entry.error is not None:
                raise entry.error
            if entry.elsewhere:
                yield from self._transport.follow(entry.follower)
            if entry.over:
                return

    def _ask(self, entry: Entry, ask: Callable[[Exchange], None]) -> bool:
        """Send something about an operation; False where the stream is not the way to it any more."""
        with self._changed:
            if entry.elsewhere:
                return False
            if not entry.over:
                ask(self._exchange)
                self._flush()
            return True

    def _wait(self, ready: Callable[[], bool]) -> None:
        """Wait until `ready`; one of those who wait reads for all."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: ready() or not self._reading)
                if ready():
                    return
                self._reading = True
            try:
                self._read()
            finally:
                with self._changed:
                    self._reading = False
                    self._changed.notify_all()

    def _read(self) -> None:
        """Read one message, or open the next stream."""
        with self._changed:
            if self._closed:
                return
            self._flush()
            stream = self._stream
        assert stream is not None
        error: SandbankError | None = None
        message = None
        try:
            message = next(stream.call, None)
        except grpc.RpcError as failure:
            error = error_from_rpc(failure)
        with self._changed:
            if self._closed:
                return
            if message is not None:
                self._exchange.received(message)
                return
            self._drop()
            delay = self._exchange.failed(error)
        if delay:
            time.sleep(delay)

    def _flush(self) -> None:
        if self._stream is None:
            self._stream = _Stream(self._transport)
        for request in self._exchange.take():
            self._stream.requests.put(request)

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.end()
        self._stream = None


class _Stream:
    """One Interact call."""

    def __init__(self, transport: Transport) -> None:
        self.requests: queue.SimpleQueue[execution_pb2.InteractRequest | None] = queue.SimpleQueue()
        self._open = ExitStack()
        connection = transport.connection
        metadata = self._open.enter_context(
            client_span(rpc.INTERACT.service, rpc.INTERACT.name, connection.metadata())
        )
        self.call: Any = transport.converse(rpc.INTERACT, iter(self.requests.get, None), metadata)

    def end(self) -> None:
        """End it, and the thread that waits for what is to be sent."""
        self.requests.put(None)
        self.call.cancel()  # does nothing to a call that has ended
        self._open.close()


class StreamedExecution(Running):
    """An operation on an Interact stream. It has been sent."""

    def __init__(
        self,
        transport: Transport,
        entry: Entry,
        events: Iterator[Event],
        ask: Callable[[Entry, Callable[[Exchange], None]], bool],
    ) -> None:
        super().__init__(transport, entry.follower, events)
        self._entry, self._ask = entry, ask

    def cancel(self) -> None:
        """Ask for it to stop; the events tell when it has."""
        if not self._ask(self._entry, lambda exchange: exchange.cancel(self._entry)):
            self._transport.call(calls.cancel_operation(self.session_id, self.operation_id))

    def provide_input(self, input_id: str, text: str | None) -> None:
        """Answer an InputRequested with a line (without its end), or with the end of the input for None.

        One that was answered before, or is over, is no error here.
        """
        request = requests.provide_input(self.session_id, self.operation_id, input_id, text)
        if not self._ask(self._entry, lambda exchange: exchange.provide_input(self._entry, request)):
            with contextlib.suppress(NotWaitingForInput):
                self._transport.call(calls.provide_input(request))
