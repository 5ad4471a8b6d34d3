"""What the fake server answers about transactions, input, variables and snapshots."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import grpc
from sandbank.v1 import execution_pb2 as ex
from sandbank.v1 import session_pb2, state_pb2, variable_pb2
from sandbank.v1.transaction_pb2 import Transaction

from tests.fakes.api_acts import FakeError, Refuse

ARROW = "application/vnd.apache.arrow.stream"
_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


class StateAnswers:
    """Part of the fake server: one open transaction a session, questions that wait, and `variables`."""

    sessions: dict[str, session_pb2.Session]
    operations: dict[str, list[ex.OperationEvent]]

    def __init__(self) -> None:
        self.transactions: dict[str, Transaction] = {}
        self.variables: dict[str, Any] = {}
        self.replies: dict[tuple[str, str], str | None] = {}
        self.replied = threading.Condition()

    def check_membership(self, request: ex.ExecuteRequest) -> None:
        """Refuse what the open transaction does not let in, and take note of its members."""
        open_id = self.sessions[request.session_id].open_transaction_id
        if request.transaction_id and request.transaction_id != open_id:
            raise FakeError(Refuse(_PRECONDITION, "NO_SUCH_TRANSACTION"))
        if open_id and not request.transaction_id:
            raise FakeError(Refuse(_PRECONDITION, "TRANSACTION_OPEN", {"transaction_id": open_id}))
        if open_id:
            self.transactions[open_id].operation_ids.append(request.operation_id)

    def wait_for_reply(self, operation_id: str, input_id: str, over: threading.Event) -> None:
        """Wait until a question was answered or `over` is set."""
        with self.replied:
            self.replied.wait_for(lambda: (operation_id, input_id) in self.replies or over.is_set(), 30)

    def ProvideInput(self, request: ex.ProvideInputRequest) -> ex.ProvideInputResponse:
        key = (request.operation_id, request.input_id)
        with self.replied:
            if key in self.replies:
                raise FakeError(Refuse(_PRECONDITION, "NOT_WAITING_FOR_INPUT"))
            self.replies[key] = request.text if request.WhichOneof("reply") == "text" else None
            self.replied.notify_all()
        return ex.ProvideInputResponse()

    def BeginTransaction(self, request: ex.BeginTransactionRequest) -> ex.BeginTransactionResponse:
        session = self.sessions[request.session_id]
        if session.open_transaction_id:
            raise FakeError(
                Refuse(_PRECONDITION, "TRANSACTION_OPEN", {"transaction_id": session.open_transaction_id})
            )
        begun = Transaction(
            transaction_id=f"tx-{len(self.transactions) + 1}",
            session_id=request.session_id,
            state=Transaction.STATE_OPEN,
            include_files=request.include_files,
        )
        self.transactions[begun.transaction_id] = begun
        session.open_transaction_id = begun.transaction_id
        return ex.BeginTransactionResponse(transaction=begun)

    def CommitTransaction(self, request: Any) -> ex.CommitTransactionResponse:
        return ex.CommitTransactionResponse(transaction=self._end(request, Transaction.STATE_COMMITTED))

    def RollbackTransaction(self, request: Any) -> ex.RollbackTransactionResponse:
        return ex.RollbackTransactionResponse(transaction=self._end(request, Transaction.STATE_ROLLED_BACK))

    def expire_transaction(self, session_id: str) -> None:
        """Roll the open transaction back as the server does with an idle one."""
        session = self.sessions[session_id]
        self.transactions[session.open_transaction_id].state = Transaction.STATE_ROLLED_BACK
        session.open_transaction_id = ""

    def _end(self, request: Any, wanted: Transaction.State) -> Transaction:
        known = self.transactions.get(request.transaction_id)
        if known is None or known.state not in {Transaction.STATE_OPEN, wanted}:
            raise FakeError(Refuse(_PRECONDITION, "NO_SUCH_TRANSACTION"))
        if known.state == Transaction.STATE_OPEN:
            self.sessions[request.session_id].open_transaction_id = ""
        known.state = wanted
        return known

    def RewindSession(self, request: Any) -> session_pb2.RewindSessionResponse:
        if request.operation_id not in self.operations:
            raise FakeError(Refuse(_PRECONDITION, "SNAPSHOT_GONE"))
        return session_pb2.RewindSessionResponse(session=self.sessions[request.session_id])

    def ListVariables(self, request: state_pb2.ListVariablesRequest) -> state_pb2.ListVariablesResponse:
        names = sorted(
            name
            for name in self.variables
            if name.startswith(request.name_prefix) and (request.include_private or not name.startswith("_"))
        )
        start, size = int(request.page_token or 0), request.page_size or 2
        return state_pb2.ListVariablesResponse(
            variables=[self._variable(name) for name in names[start : start + size]],
            next_page_token=str(start + size) if start + size < len(names) else "",
        )

    def GetVariable(self, request: state_pb2.GetVariableRequest) -> state_pb2.GetVariableResponse:
        if request.name not in self.variables:
            raise FakeError(Refuse(grpc.StatusCode.NOT_FOUND, "VARIABLE_NOT_FOUND"))
        value = self.variables[request.name]
        if request.format == state_pb2.VALUE_FORMAT_ARROW and isinstance(value, bytes):
            return state_pb2.GetVariableResponse(
                variable=self._variable(request.name), data=value, mime_type=ARROW
            )
        mime_type, data = "text/plain", repr(value)
        if request.format == state_pb2.VALUE_FORMAT_JSON:
            try:
                mime_type, data = "application/json", json.dumps(value)
            except TypeError:
                raise FakeError(Refuse(_PRECONDITION, "FORMAT_UNAVAILABLE")) from None
        return state_pb2.GetVariableResponse(
            variable=self._variable(request.name),
            data=data.encode(),
            mime_type=mime_type,
            as_of=variable_pb2.AsOf(operation_id="op-last", stale=True),
        )

    def Complete(self, request: state_pb2.CompleteRequest) -> state_pb2.CompleteResponse:
        start = request.cursor_position
        while start and (request.code[start - 1].isalnum() or request.code[start - 1] == "_"):
            start -= 1
        prefix = request.code[start : request.cursor_position]
        return state_pb2.CompleteResponse(
            matches=[
                state_pb2.CompletionMatch(text=name, type="instance")
                for name in sorted(self.variables)
                if name.startswith(prefix)
            ],
            start_position=start,
            end_position=request.cursor_position,
        )

    def Inspect(self, request: state_pb2.InspectRequest) -> state_pb2.InspectResponse:
        value = self.variables.get(request.code)
        if value is None:
            return state_pb2.InspectResponse()
        facts = {"name": request.code, "preview": repr(value), "detail": request.detail_level}
        return state_pb2.InspectResponse(
            found=True,
            data={"text/plain": repr(value).encode(), "application/json": json.dumps(facts).encode()},
            as_of=variable_pb2.AsOf(operation_id="op-last"),
        )

    def SetVariable(self, request: state_pb2.SetVariableRequest) -> state_pb2.SetVariableResponse:
        value = json.loads(request.json) if request.WhichOneof("value") == "json" else request.arrow
        if self.variables.get(request.name) == value:
            return state_pb2.SetVariableResponse()
        self.variables[request.name] = value
        return state_pb2.SetVariableResponse(change=variable_pb2.VariableChange(name=request.name))

    def ExportVariable(
        self, request: state_pb2.ExportVariableRequest
    ) -> Iterator[state_pb2.ExportVariableResponse]:
        if request.name not in self.variables:
            raise FakeError(Refuse(grpc.StatusCode.NOT_FOUND, "VARIABLE_NOT_FOUND"))
        value = self.variables[request.name]
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        header = state_pb2.ExportVariableHeader(
            variable=self._variable(request.name),
            mime_type=ARROW if isinstance(value, bytes) else "application/json",
            as_of=variable_pb2.AsOf(operation_id="op-last"),
        )
        yield state_pb2.ExportVariableResponse(header=header)
        for at in range(0, len(data), 1000):
            yield state_pb2.ExportVariableResponse(chunk=data[at : at + 1000])

    def ImportVariable(
        self, requests: list[state_pb2.ImportVariableRequest]
    ) -> state_pb2.ImportVariableResponse:
        header = requests[0].header
        data = b"".join(request.chunk for request in requests[1:])
        is_json = header.format == state_pb2.VALUE_FORMAT_JSON
        self.variables[header.name] = json.loads(data) if is_json else data
        return state_pb2.ImportVariableResponse(
            change=variable_pb2.VariableChange(name=header.name, kind="KIND_ADDED")
        )

    def _variable(self, name: str) -> variable_pb2.Variable:
        value = self.variables[name]
        return variable_pb2.Variable(
            name=name, type_name=type(value).__name__, preview=repr(value)[:200], size_bytes=28
        )
