"""StateService: values that go into a session, and such as come out of it piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sandbank.v1 import state_pb2

from sandbank_server.errors import BadFieldError
from sandbank_server.grpc_api import validation as check
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.sessions.contents.values import NAME_CHARACTERS, SessionValues, Target, check_name
from sandbank_server.sessions.manager import SessionManager

_IMPORTED = {state_pb2.VALUE_FORMAT_JSON: "json", state_pb2.VALUE_FORMAT_ARROW: "arrow"}


class ValueMethods:
    """Part of the servicer."""

    _sessions: SessionManager

    async def SetVariable(
        self, request: state_pb2.SetVariableRequest, call: CallContext
    ) -> state_pb2.SetVariableResponse:
        """Bind a variable to a value that fits in a message."""
        check.check_id(request.session_id, "session_id")
        check.check_optional_id(request.transaction_id, "transaction_id")
        check_name(request.name, "name")
        check.check_enum(request.arrow_as, state_pb2.ArrowAs.DESCRIPTOR.values_by_number, "arrow_as")
        form = request.WhichOneof("value")
        if form is None:
            raise BadFieldError.at("value", "must be set: json or arrow")
        data = request.json.encode() if form == "json" else request.arrow
        target = Target(request.name, form, form, request.arrow_as, request.transaction_id)
        values = SessionValues(await self._sessions.usable(call.tenant, request.session_id))
        change = await values.bind(target, _once(data))
        return state_pb2.SetVariableResponse(change=change if change.name else None)

    async def ExportVariable(
        self, request: state_pb2.ExportVariableRequest, call: CallContext
    ) -> AsyncIterator[state_pb2.ExportVariableResponse]:
        """Read a value of any size."""
        check.check_id(request.session_id, "session_id")
        check.check_optional_id(request.transaction_id, "transaction_id")
        if not 0 < len(request.name) <= NAME_CHARACTERS:
            raise BadFieldError.at("name", f"must have 1 to {NAME_CHARACTERS} characters")
        check.check_enum(request.format, state_pb2.ValueFormat.DESCRIPTOR.values_by_number, "format")
        limit = check.check_count(request.max_bytes, "max_bytes", default=0, limit=2**63 - 1)
        values = SessionValues(await self._sessions.usable(call.tenant, request.session_id))
        async with values.export(request.transaction_id, request.name, request.format, limit) as found:
            header, pieces = found
            yield state_pb2.ExportVariableResponse(header=header)
            async for piece in pieces:
                yield state_pb2.ExportVariableResponse(chunk=piece)

    async def ImportVariable(
        self, requests: AsyncIterator[state_pb2.ImportVariableRequest], call: CallContext
    ) -> state_pb2.ImportVariableResponse:
        """Bind a variable to a value of any size."""
        first = await anext(requests, None)
        if first is None or not first.HasField("header"):
            raise BadFieldError.at("header", "must come first")
        header = first.header
        check.check_id(header.session_id, "header.session_id")
        check.check_optional_id(header.transaction_id, "header.transaction_id")
        check_name(header.name, "header.name")
        check.check_enum(header.arrow_as, state_pb2.ArrowAs.DESCRIPTOR.values_by_number, "header.arrow_as")
        form = _IMPORTED.get(header.format)
        if form is None:
            raise BadFieldError.at("header.format", "must be JSON or ARROW")
        target = Target(header.name, form, "chunk", header.arrow_as, header.transaction_id)
        values = SessionValues(await self._sessions.usable(call.tenant, header.session_id))
        change = await values.bind(target, _chunks(requests))
        return state_pb2.ImportVariableResponse(change=change if change.name else None)


async def _chunks(requests: AsyncIterator[state_pb2.ImportVariableRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("part") != "chunk":
            raise BadFieldError.at("chunk", "nothing but chunks may follow the header")
        yield request.chunk


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
