"""Interact: many operations of one session on one stream, with their input and their cancellation.

One task reads requests; the call's own task is the only one that writes. Events are pulled when the transport can take
them, so a client that reads slowly fills no memory and delays nobody; one that does not read at all is not read from
either, once enough waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final

import structlog
from sandbank.v1 import execution_pb2

from sandbank_server.errors import BadFieldError, DomainError, DrainingError, SessionTerminatedError
from sandbank_server.grpc_api import validation as check
from sandbank_server.grpc_api.answers import answer
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.chain import ClientGoneError
from sandbank_server.grpc_api.dialogue import Dialogue
from sandbank_server.grpc_api.error_map import explain
from sandbank_server.grpc_api.rejections import rejection
from sandbank_server.grpc_api.submissions import Submissions
from sandbank_server.sessions.life.session import Session
from sandbank_server.sessions.manager import SessionManager
from sandbank_server.sessions.operations.following import Followed, Following

IN_FLIGHT: Final = 256
"""Operations, answers, cancellations and rejections of one stream that are not through."""

_Request = execution_pb2.InteractRequest
_log = structlog.get_logger("sandbank.interact")


class Interaction:
    """One stream."""

    def __init__(
        self,
        sessions: SessionManager,
        submissions: Submissions,
        dialogue: Dialogue[_Request],
        call: CallContext,
    ) -> None:
        self._sessions = sessions
        self._submissions = submissions
        self._dialogue = dialogue
        self._call = call
        self._session: Session | None = None
        self._following = Following()
        self._rejections: deque[execution_pb2.OperationEvent] = deque()
        self._errands: set[asyncio.Task[None]] = set()
        self._count = 0
        self._heard_all = False
        self._failure: Exception | None = None
        self._room = asyncio.Event()

    async def run(self) -> None:
        """Serve the stream to its end. Raises what ends it otherwise."""
        reading = asyncio.create_task(self._read_all())
        try:
            await self._write_all()
        finally:
            reading.cancel()
            self._leave()
            await asyncio.gather(reading, return_exceptions=True)

    def _leave(self) -> None:
        if self._session is None:
            return
        self._session.events.bell.listeners.remove(self._following.wake)
        for followed in self._following:
            if followed.cancel and not followed.cursor.ended:
                self._sessions.cancel_soon(
                    self._call.tenant, self._session.session_id, followed.cursor.operation_id
                )
        self._following.close()

    # Reading.

    async def _read_all(self) -> None:
        try:
            while not self._heard_all:
                while self._in_flight >= IN_FLIGHT:
                    self._room.clear()
                    await self._room.wait()
                await self._read_one()
        except Exception as error:  # noqa: BLE001 - the writer raises it, in the call's own task
            self._failure = error
        self._following.wake()

    async def _read_one(self) -> None:
        request: _Request | None = None
        try:
            try:
                request = await self._dialogue.read()
            finally:
                self._count += 1
            if request is None:
                self._heard_all = True
            else:
                await self._serve(request)
        except ClientGoneError:
            raise
        except Exception as error:
            if self._session is None:
                raise
            self._reject(error, self._count, _operation_id(request))

    async def _serve(self, request: _Request) -> None:
        kind = request.WhichOneof("request")
        if kind is None:
            raise BadFieldError.at("request", "must be execute, input or cancel")
        asked = getattr(request, kind)
        session = self._session or await self._open(asked.session_id, f"{kind}.session_id")
        if asked.session_id not in ("", session.session_id):
            raise BadFieldError.at(f"{kind}.session_id", "must be that of the stream's first request")
        asked.session_id = session.session_id
        if kind == "execute":
            await self._execute(asked)
        elif kind == "input":
            self._send_off(answer(self._sessions, asked, self._call, "input."), asked.operation_id)
        else:
            self._send_off(self._cancel(asked), asked.operation_id)

    async def _open(self, session_id: str, path: str) -> Session:
        check.check_id(session_id, path)
        session = await self._sessions.usable(self._call.tenant, session_id)
        self._session = session
        session.events.bell.listeners.append(self._following.wake)
        return session

    async def _execute(self, asked: execution_pb2.ExecuteRequest) -> None:
        if self._sessions.draining:
            raise _draining()
        check.check_id(asked.operation_id, "execute.operation_id")
        submission = self._submissions.read(asked, self._call, "execute.")
        cursor = await self._sessions.follow(self._call.tenant, submission)
        self._following.add(cursor, self._count, cancel=asked.cancel_on_disconnect)

    async def _cancel(self, asked: execution_pb2.CancelOperationRequest) -> None:
        check.check_id(asked.operation_id, "cancel.operation_id")
        await self._sessions.cancel_operation(self._call.tenant, asked.session_id, asked.operation_id)

    def _send_off(self, work: Coroutine[Any, Any, None], operation_id: str) -> None:
        """Do what waits for the sandbox beside the rest. What was begun goes through although the client leaves."""
        errand = asyncio.create_task(self._run_errand(work, self._count, operation_id))
        self._errands.add(errand)
        errand.add_done_callback(self._errand_done)

    async def _run_errand(self, work: Coroutine[Any, Any, None], index: int, operation_id: str) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - told to the client
            self._reject(error, index, operation_id)

    def _errand_done(self, errand: asyncio.Task[None]) -> None:
        self._errands.discard(errand)
        self._room.set()
        self._following.wake()

    def _reject(self, error: Exception, index: int, operation_id: str) -> None:
        assert self._session is not None
        failure = explain(error)
        _log.log(failure.level, "request rejected", reason=failure.reason, message=failure.message)
        named = operation_id if check.ID.fullmatch(operation_id) else ""
        event = rejection(failure, self._session.session_id, named, index, self._sessions.now())
        self._rejections.append(event)
        self._following.wake()

    # Writing.

    @property
    def _in_flight(self) -> int:
        return len(self._following) + len(self._errands) + len(self._rejections)

    async def _write_all(self) -> None:
        while True:
            if self._failure is not None:
                raise self._failure
            if self._rejections:
                await self._dialogue.write(self._rejections.popleft())
                self._room.set()
            elif (followed := self._following.next()) is not None:
                await self._send(followed)
            elif self._is_over():
                return
            else:
                await self._following.wait()

    def _is_over(self) -> bool:
        """Tell whether nothing more comes. Raises what the stream ends with where that is not the client's wish."""
        if self._in_flight:
            return False
        if not self._heard_all and self._session is not None:
            if self._session.ended:
                raise SessionTerminatedError(
                    f"session {self._session.session_id} has ended", resource=self._session.session_id
                )
            if self._sessions.draining:
                raise _draining()
        return self._heard_all

    async def _send(self, followed: Followed) -> None:
        """Send what there is of an operation now. What comes meanwhile has its turn after what came before it."""
        cursor = followed.cursor
        last = None if cursor.live is None else cursor.live.last
        try:
            while batch := await cursor.more():
                for event in batch:
                    await self._dialogue.write(event)
                if last is not None and cursor.position >= last:
                    break
        except DomainError as error:  # events that the journal has dropped under a slow reader
            self._reject(error, followed.index, cursor.operation_id)
            self._drop(followed)
        else:
            if cursor.ended:
                self._drop(followed)

    def _drop(self, followed: Followed) -> None:
        self._following.drop(followed)
        self._room.set()


def _operation_id(request: _Request | None) -> str:
    kind = None if request is None else request.WhichOneof("request")
    return "" if kind is None else str(getattr(request, kind).operation_id)


def _draining() -> DrainingError:
    return DrainingError("the server is shutting down", retry_delay=1.0)
