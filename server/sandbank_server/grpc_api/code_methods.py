"""The methods of StateService that ask about a place in code."""

from __future__ import annotations

from sandbank.v1 import state_pb2

from sandbank_server.errors import BadFieldError
from sandbank_server.grpc_api import validation as check
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.limits import RequestLimits
from sandbank_server.sessions.contents.code_places import CodePlace, CodePlaces
from sandbank_server.sessions.manager import SessionManager

DETAIL_LEVELS = (0, 1)


class CodeMethods:
    """Complete and Inspect."""

    def __init__(self, sessions: SessionManager, limits: RequestLimits) -> None:
        self._sessions = sessions
        self._code_bytes = limits.code_bytes

    async def Complete(
        self, request: state_pb2.CompleteRequest, call: CallContext
    ) -> state_pb2.CompleteResponse:
        """Complete code at the cursor."""
        place = self._place(request)
        session = await self._sessions.usable(call.tenant, request.session_id)
        return await CodePlaces(session).complete(place)

    async def Inspect(
        self, request: state_pb2.InspectRequest, call: CallContext
    ) -> state_pb2.InspectResponse:
        """Describe what is at the cursor."""
        place = self._place(request)
        if request.detail_level not in DETAIL_LEVELS:
            raise BadFieldError.at("detail_level", "must be 0 or 1")
        session = await self._sessions.usable(call.tenant, request.session_id)
        return await CodePlaces(session).inspect(place, request.detail_level)

    def _place(self, request: state_pb2.CompleteRequest | state_pb2.InspectRequest) -> CodePlace:
        check.check_id(request.session_id, "session_id")
        check.check_optional_id(request.transaction_id, "transaction_id")
        check.check_code(request.code, self._code_bytes, "code")
        if not 0 <= request.cursor_position <= len(request.code):
            raise BadFieldError.at("cursor_position", "must be within the code, in code points")
        return CodePlace(request.code, request.cursor_position, request.transaction_id)
