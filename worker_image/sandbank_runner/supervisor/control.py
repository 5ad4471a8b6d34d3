"""What the control plane may ask on the CONTROL connection, and the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from sandbank_runner.supervisor.interpreter_messages import escaped
from sandbank_runner.supervisor.session import Session
from sandbank_runner.v1.runner_pb2 import Assign, Failure, FromRunner, Page, Pong, Reply, Reset, ToRunner

_ABOUT_OPERATIONS = ("fetch", "cancel", "get_operation")

_UNKNOWN = Failure(reason="OPERATION_NOT_FOUND", message="the sandbox knows no operation of this id")
_NOT_ASSIGNED = Failure(reason="SESSION_NOT_FOUND", message="the sandbox has no session yet")
_ASSIGNED = Failure(reason="NOT_ALLOWED", message="the sandbox serves another session")


class Sandbox(Protocol):
    """What the desk needs of the sandbox as a whole."""

    session: Session | None

    def assign(self, assign: Assign) -> Session:
        """Give the sandbox to a session."""

    def pong(self) -> Pong:
        """Return a sign of life."""

    async def clean_workspace(self) -> None:
        """Empty the workspace. Raises where that fails; the text says why."""

    def shut_down(self) -> None:
        """End everything, soon."""


class ControlDesk:
    """Answers requests. ``reply`` sends to the connection that asked, if it is still there."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sandbox: Sandbox) -> None:
        self._loop = loop
        self._sandbox = sandbox
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(self, request: ToRunner, send: Callable[[bytes], None]) -> None:
        """Do what ``request`` asks. ValueError where no control plane of this version would ask it."""
        kind = request.WhichOneof("message")
        session = self._sandbox.session
        if kind == "submit":
            if session is None:
                raise ValueError("Submit before Assign")
            session.submit(request.submit)
            return
        reply = Reply(request_id=request.request_id)
        if kind == "reset":
            self._reset(request.reset, reply, send)
            return
        if kind == "assign":
            self._assign(request.assign, reply)
        elif kind == "ping":
            reply.pong.CopyFrom(self._sandbox.pong())
        elif kind == "shutdown":
            self._sandbox.shut_down()
        elif kind not in _ABOUT_OPERATIONS:
            raise ValueError(f"{kind} on a CONTROL connection")
        elif session is None or not self._ask(session, request, reply):
            reply.failure.CopyFrom(_UNKNOWN)
        _send(reply, send)

    def _ask(self, session: Session, request: ToRunner, reply: Reply) -> bool:
        """Answer a question about an operation; False where it is not known."""
        kind = request.WhichOneof("message")
        if kind == "fetch":
            fetch = request.fetch
            page = session.fetch(fetch.operation_id, fetch.after_sequence, fetch.max_bytes)
            if page is not None:
                reply.page.CopyFrom(
                    Page(
                        first_sequence=page.first_sequence,
                        events=page.events,
                        finished=page.finished,
                        first_kept_sequence=page.first_kept_sequence,
                    )
                )
            return page is not None
        if kind == "cancel":
            operation = session.cancel(request.cancel.operation_id)
        else:
            operation = session.operation(request.get_operation.operation_id)
        if operation is not None:
            reply.operation = operation
        return operation is not None

    def close(self) -> None:
        """Stop what is still being done."""
        for task in self._tasks:
            task.cancel()

    def _assign(self, assign: Assign, reply: Reply) -> None:
        session = self._sandbox.session
        if session is None:
            if not assign.session_id:
                raise ValueError("Assign without a session")
            self._sandbox.assign(assign)
        elif session.assign.session_id != assign.session_id:
            reply.failure.CopyFrom(_ASSIGNED)

    def _reset(self, reset: Reset, reply: Reply, send: Callable[[bytes], None]) -> None:
        session = self._sandbox.session
        if session is None:
            reply.failure.CopyFrom(_NOT_ASSIGNED)
            _send(reply, send)
            return

        done = session.reset(_nothing if reset.keep_files else self._sandbox.clean_workspace)

        async def work() -> None:
            try:
                await done
            except Exception as error:  # whatever it is, the control plane waits for an answer
                message = f"the workspace could not be emptied: {error}"
                reply.failure.CopyFrom(Failure(reason="BUG", message=escaped(message[:500])))
            _send(reply, send)

        task = self._loop.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _send(reply: Reply, send: Callable[[bytes], None]) -> None:
    if reply.request_id:
        send(FromRunner(reply=reply).SerializeToString())


async def _nothing() -> None:
    return
