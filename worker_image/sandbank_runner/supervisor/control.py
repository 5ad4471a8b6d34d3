"""What the control plane may ask on the CONTROL connection, and the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Protocol

from sandbank_runner.supervisor.interpreter_messages import escaped
from sandbank_runner.supervisor.reader_dialogue import ReadRefused
from sandbank_runner.supervisor.refusals import Refusal
from sandbank_runner.supervisor.session import Session
from sandbank_runner.supervisor.state_work import StateRefused
from sandbank_runner.v1.runner_pb2 import (
    Assign,
    Failure,
    FromRunner,
    Page,
    Pong,
    Read,
    Reply,
    StateResult,
    ToRunner,
)

_ABOUT_OPERATIONS = ("fetch", "cancel", "get_operation", "provide_input")
_ABOUT_STATE = ("reset", "rewind", "begin_transaction", "end_transaction", "read")
_ABOUT_CHECKPOINTS = ("checkpoint", "checkpoint_ended", "restore", "export_variable", "import_variable")

_UNKNOWN = Failure(reason="OPERATION_NOT_FOUND", message="the sandbox knows no operation of this id")
_NOT_WAITING = Failure(
    reason="NOT_WAITING_FOR_INPUT", message="that question was answered already, or is over"
)
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
        if kind in _ABOUT_STATE or kind in _ABOUT_CHECKPOINTS:
            if session is None:
                reply.failure.CopyFrom(_NOT_ASSIGNED)
                _send(reply, send)
            else:
                change = self._change if kind in _ABOUT_STATE else self._keep
                change(session, request, reply, send)
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
        if kind == "provide_input":
            answered = session.provide_input(request.provide_input)
            if answered is False:
                reply.failure.CopyFrom(_NOT_WAITING)
            return answered is not None
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

    def _change(
        self, session: Session, request: ToRunner, reply: Reply, send: Callable[[bytes], None]
    ) -> None:
        """Do what takes its time and is answered when it is done."""

        def answer(found: bytes | Refusal) -> None:
            if isinstance(found, Refusal):
                reply.failure.CopyFrom(_failure(found))
            else:
                reply.transaction = found
            _send(reply, send)

        kind = request.WhichOneof("message")
        if kind == "begin_transaction":
            session.begin(request.begin_transaction, answer)
        elif kind == "end_transaction":
            session.end(request.end_transaction, answer)
        elif kind == "reset":
            nothing = _nothing if request.reset.keep_files else self._sandbox.clean_workspace
            self._start(self._reset(session.reset(nothing), reply, send))
        elif kind == "read":
            self._start(self._read(session, request.read, reply, send))
        else:
            done = session.rewind(request.rewind.operation_id)
            if done is None:
                reply.failure.CopyFrom(_UNKNOWN)
            elif isinstance(done, Refusal):
                reply.failure.CopyFrom(_failure(done))
            else:
                self._start(self._rewind(done, reply, send))
                return
            _send(reply, send)

    def _keep(self, session: Session, request: ToRunner, reply: Reply, send: Callable[[bytes], None]) -> None:
        """Have state written or loaded, or say what became of what was written."""
        kind = request.WhichOneof("message")
        if kind == "checkpoint":
            self._start(self._state(session.checkpoints.write(request.checkpoint), reply, send))
        elif kind == "restore":
            self._start(self._state(session.restoring.restore(request.restore), reply, send))
        elif kind == "export_variable":
            self._start(self._state(session.exports.export(request.export_variable), reply, send))
        elif kind == "import_variable":

            def answer(found: StateResult | Refusal) -> None:
                if isinstance(found, Refusal):
                    reply.failure.CopyFrom(_failure(found))
                else:
                    reply.state.CopyFrom(found)
                _send(reply, send)

            session.import_variable(request.import_variable, answer)
        else:
            session.checkpoints.ended(request.checkpoint_ended)
            _send(reply, send)

    async def _state(self, work: Awaitable[StateResult], reply: Reply, send: Callable[[bytes], None]) -> None:
        try:
            reply.state.CopyFrom(await work)
        except StateRefused as refused:
            reply.failure.CopyFrom(_failure(refused.refusal))
        _send(reply, send)

    async def _reset(self, done: Awaitable[None], reply: Reply, send: Callable[[bytes], None]) -> None:
        try:
            await done
        except Exception as error:  # whatever it is, the control plane waits for an answer
            message = f"the workspace could not be emptied: {error}"
            reply.failure.CopyFrom(Failure(reason="BUG", message=escaped(message[:500])))
        _send(reply, send)

    async def _read(self, session: Session, read: Read, reply: Reply, send: Callable[[bytes], None]) -> None:
        try:
            reply.read.CopyFrom(await session.reads.answer(read))
        except ReadRefused as refused:
            reply.failure.CopyFrom(refused.failure())
        _send(reply, send)

    async def _rewind(
        self, done: Awaitable[Refusal | None], reply: Reply, send: Callable[[bytes], None]
    ) -> None:
        refusal = await done
        if refusal is not None:
            reply.failure.CopyFrom(_failure(refusal))
        _send(reply, send)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _failure(refusal: Refusal) -> Failure:
    return Failure(reason=refusal.reason, message=escaped(refusal.message[:500]), names=refusal.names)


def _send(reply: Reply, send: Callable[[bytes], None]) -> None:
    if reply.request_id:
        send(FromRunner(reply=reply).SerializeToString())


async def _nothing() -> None:
    return
