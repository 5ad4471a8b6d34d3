"""A Sandbank server that misbehaves on request: real gRPC, no sandboxes.

It answers every call of the clients from memory, runs "programs" that a test gives it (the events that a piece of
code makes), and plays the acts of sabotage that the test has queued for an RPC, one per call.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from sandbank import rpc
from sandbank.v1 import execution_pb2 as ex
from sandbank.v1 import file_pb2, info_pb2, pool_pb2, session_pb2

from tests.fakes.api_acts import BreakAfter, FakeError, HoldAfter, Refuse, refuse
from tests.fakes.api_interact import Conversation
from tests.fakes.api_state import StateAnswers

STREAMS_OUT = (
    rpc.EXECUTE,
    rpc.WATCH_OPERATION,
    rpc.DOWNLOAD_FILE,
    rpc.EXPORT_VARIABLE,
    rpc.WATCH_POOL,
    rpc.WATCH_SESSION,
)


def events_of(
    *parts: Any,
    state: int = ex.Operation.STATE_SUCCEEDED,
    result: dict[str, bytes] | None = None,
    error: ex.ExecutionError | None = None,
) -> list[ex.OperationEvent]:
    """The events of one operation: Started, one per part (`b"…"` is standard output), Finished."""
    events = [ex.OperationEvent(started=ex.Started())]
    for part in parts:
        event = ex.Output(stream=ex.OUTPUT_STREAM_STDOUT, data=part) if isinstance(part, bytes) else part
        name = {ex.Output: "output", ex.Display: "display", ex.InputRequest: "input_request"}[type(event)]
        events.append(ex.OperationEvent(**{name: event}))
    operation = ex.Operation(
        state=state, outcome=ex.Operation.OUTCOME_COMMITTED, result=result or {}, error=error
    )
    return [*events, ex.OperationEvent(finished=ex.Finished(operation=operation))]


class FakeServer(StateAnswers):
    """Serves on a port of 127.0.0.1 (a free one by default) until `stop`."""

    def __init__(self, port: int = 0) -> None:
        super().__init__()
        self.programs: dict[str, list[ex.OperationEvent]] = {
            "1+1": events_of(result={"text/plain": b"2", "application/json": b"2"})
        }
        self.sabotage: defaultdict[str, deque[Refuse | BreakAfter | HoldAfter]] = defaultdict(deque)
        self.calls: list[tuple[str, Any]] = []
        self.metadata: list[dict[str, str]] = []
        self.sessions: dict[str, session_pb2.Session] = {}
        self.requests: dict[str, str] = {}
        self.operations: dict[str, list[ex.OperationEvent]] = {}
        self.runs: list[str] = []
        self.files: dict[str, bytes] = {}
        self.corrupt_downloads = False
        self.cancelled = threading.Event()
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        for name in dir(rpc):
            method = getattr(rpc, name)
            if isinstance(method, rpc.Method):
                self._add(method)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End it and its connections."""
        self._server.stop(0).wait()

    def called(self, name: str) -> list[Any]:
        """The requests that came for an RPC, in order."""
        return [request for called, request in self.calls if called == name]

    def _add(self, method: rpc.Method[Any, Any]) -> None:
        if method in STREAMS_OUT:
            make, behaviour = grpc.unary_stream_rpc_method_handler, self._stream
        elif method is rpc.INTERACT:
            make, behaviour = grpc.stream_stream_rpc_method_handler, self._stream
        elif method in (rpc.UPLOAD_FILE, rpc.IMPORT_VARIABLE):
            make, behaviour = grpc.stream_unary_rpc_method_handler, self._unary
        else:
            make, behaviour = grpc.unary_unary_rpc_method_handler, self._unary
        handler = make(
            functools.partial(behaviour, method.name),
            request_deserializer=method.request.FromString,
            response_serializer=method.response.SerializeToString,
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(f"sandbank.v1.{method.service}", {method.name: handler}),)
        )

    def _unary(self, name: str, request: Any, context: grpc.ServicerContext) -> Any:
        request = request if hasattr(request, "DESCRIPTOR") else list(request)
        act = self._note(name, request, context)
        if isinstance(act, Refuse):
            refuse(context, act)
        try:
            return getattr(self, name)(request)
        except FakeError as error:
            refuse(context, error.act)

    def _stream(self, name: str, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        act = self._note(name, request, context)
        if isinstance(act, Refuse):
            refuse(context, act)
        try:
            messages = iter(getattr(self, name)(request))
            # With 0 messages the call is heard nevertheless, and only its answer is lost.
            held = [next(messages)] if isinstance(act, BreakAfter | HoldAfter) and act.messages == 0 else []
            for number in itertools.count():
                if isinstance(act, BreakAfter) and number == act.messages:
                    if act.politely:
                        return
                    refuse(context, Refuse(grpc.StatusCode.UNAVAILABLE))
                if isinstance(act, HoldAfter) and number == act.messages:
                    self.cancelled.wait(30)
                message = held.pop() if held else next(messages, None)
                if message is None:
                    return
                yield message
        except FakeError as error:
            refuse(context, error.act)

    def _note(
        self, name: str, request: Any, context: grpc.ServicerContext
    ) -> Refuse | BreakAfter | HoldAfter | None:
        if name != "Interact":  # whose requests come later, one by one
            self.calls.append((name, request))
        self.metadata.append(dict(context.invocation_metadata()))
        return self.sabotage[name].popleft() if self.sabotage[name] else None

    # What it answers when nobody interferes.

    def CreateSession(self, request: session_pb2.CreateSessionRequest) -> session_pb2.CreateSessionResponse:
        known = self.requests.get(request.request_id)
        if known is None:
            known = self.requests[request.request_id] = f"s-{len(self.sessions) + 1}"
            self.sessions[known] = session_pb2.Session(
                session_id=known,
                template=request.template or "data",
                state=session_pb2.Session.STATE_ACTIVE,
                labels=request.labels,
                generation=1,
            )
        return session_pb2.CreateSessionResponse(session=self.sessions[known])

    def GetSession(self, request: Any) -> session_pb2.GetSessionResponse:
        return session_pb2.GetSessionResponse(session=self._session(request))

    def UpdateSession(self, request: Any) -> session_pb2.UpdateSessionResponse:
        return session_pb2.UpdateSessionResponse(session=self._session(request))

    def ResetSession(self, request: Any) -> session_pb2.ResetSessionResponse:
        return session_pb2.ResetSessionResponse(session=self._session(request))

    def ListSessions(self, request: Any) -> session_pb2.ListSessionsResponse:
        ids = sorted(self.sessions)
        start = int(request.page_token or 0)
        size = request.page_size or 2
        token = str(start + size) if start + size < len(ids) else ""
        page = [self.sessions[name] for name in ids[start : start + size]]
        return session_pb2.ListSessionsResponse(sessions=page, next_page_token=token)

    def DeleteSession(self, request: Any) -> session_pb2.DeleteSessionResponse:
        self._session(request)
        del self.sessions[request.session_id]
        return session_pb2.DeleteSessionResponse()

    def WatchSession(self, request: Any) -> Iterator[session_pb2.SessionEvent]:
        yield session_pb2.SessionEvent(sequence=1, session_changed=self._session(request))

    def Execute(self, request: ex.ExecuteRequest) -> Iterator[ex.OperationEvent]:
        self._session(request)
        if request.operation_id not in self.operations:
            self.check_membership(request)
            if request.code not in self.programs:
                raise FakeError(Refuse(grpc.StatusCode.INVALID_ARGUMENT, "BAD_FIELD", field="execute.code"))
            self.runs.append(request.code)
            events = []
            for sequence, program_event in enumerate(self.programs[request.code], 1):
                event = ex.OperationEvent(
                    session_id=request.session_id, operation_id=request.operation_id, sequence=sequence
                )
                event.MergeFrom(program_event)
                if event.HasField("finished"):
                    event.finished.operation.operation_id = request.operation_id
                    event.finished.operation.transaction_id = request.transaction_id
                events.append(event)
            self.operations[request.operation_id] = events
        return self._delivered(self.operations[request.operation_id])

    def _delivered(self, events: list[ex.OperationEvent]) -> Iterator[ex.OperationEvent]:
        """Give events, and after a question those that come once it is answered or the operation is cancelled."""
        for event in events:
            asks = event.HasField("input_request")
            if asks and self.cancelled.is_set():
                continue  # code that was stopped asks nothing more
            yield event
            if asks:
                self.wait_for_reply(event.operation_id, event.input_request.input_id, self.cancelled)

    def Interact(self, requests: Iterator[ex.InteractRequest]) -> Iterator[ex.OperationEvent]:
        return Conversation(self, requests).events()

    def Run(self, request: ex.RunRequest) -> ex.RunResponse:
        response = ex.RunResponse()
        for event in self.Execute(request.execute):
            kind = event.WhichOneof("event")
            if kind == "output" and event.output.stream == ex.OUTPUT_STREAM_STDERR:
                response.stderr += event.output.data
            elif kind == "output":
                response.stdout += event.output.data
            elif kind == "display":
                response.displays.append(event.display)
            elif kind == "finished":
                response.operation.CopyFrom(event.finished.operation)
        return response

    def WatchOperation(self, request: ex.WatchOperationRequest) -> Iterator[ex.OperationEvent]:
        events = self._operation(request)
        return self._delivered([event for event in events if event.sequence > request.after_sequence])

    def GetOperation(self, request: Any) -> ex.GetOperationResponse:
        return ex.GetOperationResponse(operation=self._operation(request)[-1].finished.operation)

    def ListOperations(self, request: Any) -> ex.ListOperationsResponse:
        self._session(request)
        operations = [events[-1].finished.operation for events in self.operations.values()]
        return ex.ListOperationsResponse(operations=operations[::-1])

    def CancelOperation(self, request: Any) -> ex.CancelOperationResponse:
        self._operation(request)
        with self.replied:
            self.cancelled.set()
            self.replied.notify_all()
        return ex.CancelOperationResponse(operation=self._operation(request)[-1].finished.operation)

    def UploadFile(self, request: list[file_pb2.UploadFileRequest]) -> file_pb2.UploadFileResponse:
        header, content = request[0].header, b"".join(part.chunk for part in request[1:])
        if hashlib.sha256(content).hexdigest() != header.sha256 or len(content) != header.size_bytes:
            raise FakeError(Refuse(grpc.StatusCode.INVALID_ARGUMENT, "CHECKSUM_MISMATCH"))
        self.files[header.path] = content
        return file_pb2.UploadFileResponse(file=self._file(header.path))

    def DownloadFile(self, request: Any) -> Iterator[file_pb2.DownloadFileResponse]:
        yield file_pb2.DownloadFileResponse(file=self._file(request.path))
        content = self.files[request.path][request.offset_bytes :]
        content = content[: request.length_bytes] if request.length_bytes else content
        if self.corrupt_downloads:
            content = content[::-1]
        for start in range(0, len(content), 1000):
            yield file_pb2.DownloadFileResponse(chunk=content[start : start + 1000])

    def ListFiles(self, request: Any) -> file_pb2.ListFilesResponse:
        return file_pb2.ListFilesResponse(files=[self._file(path) for path in sorted(self.files)])

    def StatFile(self, request: Any) -> file_pb2.StatFileResponse:
        return file_pb2.StatFileResponse(file=self._file(request.path))

    def DeleteFile(self, request: Any) -> file_pb2.DeleteFileResponse:
        self._file(request.path)
        del self.files[request.path]
        return file_pb2.DeleteFileResponse()

    def MakeDirectory(self, request: Any) -> file_pb2.MakeDirectoryResponse:
        return file_pb2.MakeDirectoryResponse(file=file_pb2.FileInfo(path=request.path, is_directory=True))

    def GetPool(self, request: Any) -> pool_pb2.GetPoolResponse:
        return pool_pb2.GetPoolResponse(pool=self._pool(request.template))

    def ListPools(self, request: Any) -> pool_pb2.ListPoolsResponse:
        return pool_pb2.ListPoolsResponse(pools=[self._pool("data"), self._pool("slim")])

    def ResizePool(self, request: Any) -> pool_pb2.ResizePoolResponse:
        pool = self._pool(request.template)
        pool.min_ready, pool.max_total = request.min_ready, request.max_total
        return pool_pb2.ResizePoolResponse(pool=pool)

    def ListSandboxes(self, request: Any) -> pool_pb2.ListSandboxesResponse:
        sandbox = pool_pb2.Sandbox(sandbox_id="sb-1", template="data", state=pool_pb2.SANDBOX_STATE_READY)
        return pool_pb2.ListSandboxesResponse(sandboxes=[sandbox])

    def WatchPool(self, request: Any) -> Iterator[pool_pb2.PoolEvent]:
        yield pool_pb2.PoolEvent(pool=self._pool(request.template), message="as it is")

    def GetServerInfo(self, request: Any) -> info_pb2.GetServerInfoResponse:
        return info_pb2.GetServerInfoResponse(
            version="0.1.0",
            api_version="sandbank.v1",
            runtime="local",
            limits={"code_bytes": 1048576},
            features=["execute", "files"],
        )

    def ListTemplates(self, request: Any) -> info_pb2.ListTemplatesResponse:
        return info_pb2.ListTemplatesResponse(
            templates=[info_pb2.Template(name="slim", python_version="3.13.5")]
        )

    def GetTemplate(self, request: Any) -> info_pb2.GetTemplateResponse:
        return info_pb2.GetTemplateResponse(template=info_pb2.Template(name=request.template or "data"))

    def _session(self, request: Any) -> session_pb2.Session:
        if request.session_id not in self.sessions:
            raise FakeError(
                Refuse(grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND", {"session_id": request.session_id})
            )
        return self.sessions[request.session_id]

    def _operation(self, request: Any) -> list[ex.OperationEvent]:
        if request.operation_id not in self.operations:
            raise FakeError(Refuse(grpc.StatusCode.NOT_FOUND, "OPERATION_NOT_FOUND"))
        return self.operations[request.operation_id]

    def _file(self, path: str) -> file_pb2.FileInfo:
        if path not in self.files:
            raise FakeError(Refuse(grpc.StatusCode.NOT_FOUND, "FILE_NOT_FOUND"))
        content = self.files[path]
        return file_pb2.FileInfo(
            path=path, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest()
        )

    def _pool(self, template: str) -> pool_pb2.Pool:
        return pool_pb2.Pool(
            template=template or "data",
            state=pool_pb2.POOL_STATE_HEALTHY,
            min_ready=2,
            max_total=8,
            ready_count=2,
        )
