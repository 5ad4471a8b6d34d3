"""One connection to the supervisor of one sandbox, and the requests it carries.

The link knows frames and requests, not operations: what the sandbox pushes goes to a :class:`LinkSink`. A link that
ended stays ended; whoever wants the sandbox back dials anew and compares boot ids.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog
from sandbank_runner.v1 import runner_pb2

from sandbank_server.runners.checks import check_hello
from sandbank_server.runners.frames import (
    OLDEST_PROTOCOL_VERSION,
    PROTOCOL_VERSION,
    FrameProtocol,
    RunnerViolation,
)
from sandbank_server.runtimes.base import Endpoint
from sandbank_server.runtimes.dial import NotListening, open_socket

REQUEST_SECONDS = 30.0
"""How long a request may take before the sandbox counts as stuck."""

DIAL_PAUSE_SECONDS = 0.02
"""Pause between tries while a starting supervisor does not listen yet."""


_FAILURE_NAMES = 100
"""Names taken from a failure at most."""

_log = structlog.get_logger("sandbank.link")


class LinkClosed(ConnectionError):
    """The connection ended before the answer came; the sandbox may or may not have done what was asked."""


class RequestFailed(Exception):
    """The supervisor refused a request; ``reason`` is one of the public table."""

    def __init__(self, reason: str, message: str, names: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.names = tuple(names)


class LinkSink(Protocol):
    """Where a sandbox's unasked messages go. A :class:`RunnerViolation` raised here ends the link."""

    def on_events(self, events: runner_pb2.Events) -> None:
        """New events of an operation."""

    def on_background(self, background: runner_pb2.Background) -> None:
        """Output that no operation owns."""

    def on_interpreter_replaced(self, replaced: runner_pb2.InterpreterReplaced) -> None:
        """The interpreter was replaced."""

    def on_transaction_changed(self, changed: runner_pb2.TransactionChanged) -> None:
        """A transaction opened or ended."""


class RunnerLink:
    """The CONTROL connection to one supervisor. Make it with :meth:`connect`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.hello = runner_pb2.Hello()
        self.error: Exception | None = None
        self._protocol = FrameProtocol(self._on_message, self._on_end)
        self._greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._replies: dict[int, asyncio.Future[runner_pb2.Reply]] = {}
        self._next_request = 1
        self._sink: LinkSink | None = None
        self._held: list[runner_pb2.FromRunner] = []
        self._ignoring = False
        self._on_close: list[Callable[[RunnerLink], None]] = []
        self._closed = asyncio.Event()

    @classmethod
    async def connect(cls, endpoint: Endpoint, sandbox_id: str, timeout: float) -> RunnerLink:
        """Dial until the supervisor listens, and exchange greetings.

        Raises TimeoutError after ``timeout`` seconds, :class:`RunnerViolation` when what answers is not the
        supervisor of ``sandbox_id`` in a version that is understood, OSError when it cannot be reached.
        """
        async with asyncio.timeout(timeout):
            link = await _dial(endpoint)
            try:
                await link._greeted
                link._check_greeting(sandbox_id)
            except BaseException:
                link._protocol.close()
                raise
            open_ = runner_pb2.Open(protocol_version=PROTOCOL_VERSION, purpose=runner_pb2.PURPOSE_CONTROL)
            try:
                link._send(open=open_)
            except LinkClosed as error:
                raise link._protocol.error or error from None
            return link

    def _check_greeting(self, sandbox_id: str) -> None:
        version = self.hello.protocol_version
        if not OLDEST_PROTOCOL_VERSION <= version <= PROTOCOL_VERSION:
            raise RunnerViolation(f"protocol version {version}")
        if self.hello.sandbox_id != sandbox_id:
            raise RunnerViolation(f"answers as {self.hello.sandbox_id[:64]!r}")
        check_hello(self.hello)

    # State.

    @property
    def session_id(self) -> str:
        """The session that the supervisor says it serves; empty while it waits in the pool."""
        return self.hello.session_id

    @property
    def closed(self) -> asyncio.Event:
        """Set once the connection has ended."""
        return self._closed

    def add_close_callback(self, callback: Callable[[RunnerLink], None]) -> None:
        """Call ``callback`` once when the connection ends, at once when it has ended."""
        if self._closed.is_set():
            callback(self)
        else:
            self._on_close.append(callback)

    def set_sink(self, sink: LinkSink) -> None:
        """Say where unasked messages go.

        Before that a sandbox in the pool has nothing to tell: it is a violation. One that serves a session already
        (the control plane was restarted) is made to wait.
        """
        self._sink = sink
        held, self._held = self._held, []
        try:
            for message in held:
                self._deliver(sink, message)
        except RunnerViolation as error:
            self._protocol.fail(error)
        except Exception as error:  # noqa: BLE001 - as for what comes later, see FrameProtocol
            _log.exception("a message of a sandbox could not be handled")
            self._protocol.fail(error)
        self._protocol.resume_reading()

    def ignore(self) -> None:
        """Drop unasked messages from now on: the session is over for this link."""
        self._ignoring = True

    def hang_up(self) -> None:
        """End the connection without waiting for it; requests that wait fail."""
        self._ignoring = True
        self._protocol.close()

    async def close(self) -> None:
        """End the connection; the sandbox runs on."""
        self._protocol.close()
        await self._closed.wait()

    # Requests.

    def submit(self, submit: runner_pb2.Submit) -> None:
        """Queue an operation; its events tell the rest. :class:`LinkClosed` when the link has ended."""
        self._send(submit=submit)

    async def request(self, timeout: float | None = REQUEST_SECONDS, **message: Any) -> runner_pb2.Reply:
        """Ask and wait for the answer: ``await link.request(ping=runner_pb2.Ping())``.

        Raises :class:`RequestFailed`, :class:`LinkClosed`, or TimeoutError (which also ends the link: a supervisor
        that does not answer for so long is stuck). ``timeout`` None is for what waits for the end of user code.
        """
        request_id = self._next_request
        self._next_request += 1
        reply: asyncio.Future[runner_pb2.Reply] = asyncio.get_running_loop().create_future()
        self._replies[request_id] = reply
        try:
            self._send(request_id=request_id, **message)
            async with asyncio.timeout(timeout):
                answer = await reply
        except TimeoutError:
            self._protocol.fail(RunnerViolation("did not answer in time"))
            raise
        finally:
            self._replies.pop(request_id, None)
        if answer.HasField("failure"):
            failure = answer.failure
            raise RequestFailed(failure.reason, failure.message[:500], failure.names[:_FAILURE_NAMES])
        return answer

    def violate(self, error: RunnerViolation) -> None:
        """End the link because the sandbox broke the protocol."""
        self._protocol.fail(error)

    def _send(self, **message: Any) -> None:
        try:
            self._protocol.send(runner_pb2.ToRunner(**message))
        except ConnectionError as error:
            raise LinkClosed(str(error)) from error

    # What comes in.

    def _on_message(self, message: runner_pb2.FromRunner) -> None:
        kind = message.WhichOneof("message")
        if kind == "hello":
            if self._greeted.done():
                raise RunnerViolation("a second Hello")
            self.hello = message.hello
            self._greeted.set_result(None)
            return
        if not self._greeted.done():
            raise RunnerViolation(f"{kind} before Hello")
        if kind == "reply":
            reply = self._replies.pop(message.reply.request_id, None)
            if reply is not None and not reply.done():
                reply.set_result(message.reply)
            return
        if self._ignoring:
            return
        if self._sink is not None:
            self._deliver(self._sink, message)
        elif self.hello.session_id:
            # What one read brought is held; the rest stays in the socket until somebody listens.
            self._held.append(message)
            self._protocol.pause_reading()
        else:
            raise RunnerViolation(f"{kind} before it was assigned")

    @staticmethod
    def _deliver(sink: LinkSink, message: runner_pb2.FromRunner) -> None:
        kind = message.WhichOneof("message")
        if kind == "events":
            sink.on_events(message.events)
        elif kind == "background":
            sink.on_background(message.background)
        elif kind == "interpreter_replaced":
            sink.on_interpreter_replaced(message.interpreter_replaced)
        elif kind == "transaction_changed":
            sink.on_transaction_changed(message.transaction_changed)
        else:
            raise RunnerViolation(f"unexpected {kind}")

    def _on_end(self, error: Exception | None) -> None:
        self.error = error
        self._closed.set()
        failure = (
            error
            if isinstance(error, RunnerViolation)
            else LinkClosed("the connection to the sandbox has ended")
        )
        if not self._greeted.done():
            self._greeted.set_exception(failure)
            self._greeted.exception()  # whoever dialled may have gone
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(LinkClosed("the connection to the sandbox has ended"))
        self._replies.clear()
        callbacks, self._on_close = self._on_close, []
        for callback in callbacks:
            try:
                callback(self)
            except Exception:  # noqa: BLE001 - the others must learn of it too
                _log.exception("a callback of a closed link failed")


async def _dial(endpoint: Endpoint) -> RunnerLink:
    loop = asyncio.get_running_loop()
    while True:
        try:
            sock = open_socket(endpoint)
        except NotListening:
            await asyncio.sleep(DIAL_PAUSE_SECONDS)
            continue
        link = RunnerLink(endpoint)
        try:
            await loop.create_connection(lambda: link._protocol, sock=sock)  # noqa: B023
        except BaseException:
            with contextlib.suppress(OSError):
                sock.close()
            raise
        return link
