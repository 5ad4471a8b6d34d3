"""StateService: requests to use cases and back."""

from __future__ import annotations

from sandbank.v1 import state_pb2

from sandbank_server.errors import BadFieldError
from sandbank_server.grpc_api import validation as check
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.limits import RequestLimits
from sandbank_server.grpc_api.paging import PageTokens
from sandbank_server.runners.variables import VALUE_BYTES
from sandbank_server.sessions.manager import SessionManager
from sandbank_server.sessions.variables import Listing, SessionVariables

NAME_CHARACTERS = 1000
_BESIDE_THE_VALUE_BYTES = 128 * 1024
"""What the rest of a response may take."""


class StateService:
    """The servicer. Writing variables, checkpoints, Complete and Inspect are not built yet."""

    def __init__(self, sessions: SessionManager, limits: RequestLimits, tokens: PageTokens) -> None:
        self._sessions = sessions
        self._tokens = tokens
        self._value_bytes = min(VALUE_BYTES, limits.message_bytes - _BESIDE_THE_VALUE_BYTES)

    async def ListVariables(
        self, request: state_pb2.ListVariablesRequest, call: CallContext
    ) -> state_pb2.ListVariablesResponse:
        """List a page of variables, by name."""
        check.check_id(request.session_id, "session_id")
        check.check_optional_id(request.transaction_id, "transaction_id")
        size = check.check_page_size(request.page_size)
        if len(request.name_prefix) > NAME_CHARACTERS:
            raise BadFieldError.at("name_prefix", f"must not be over {NAME_CHARACTERS} characters")
        scope = [
            "variables",
            call.tenant,
            request.session_id,
            request.transaction_id,
            request.name_prefix,
            request.include_private,
        ]
        after = self._tokens.read(scope, request.page_token) or ""
        variables = await self._variables(call, request.session_id)
        found = await variables.list(
            request.transaction_id, Listing(request.name_prefix, request.include_private, after, size)
        )
        return state_pb2.ListVariablesResponse(
            variables=found.variables,
            next_page_token=self._tokens.make(scope, found.variables[-1].name) if found.more else "",
            as_of=found.as_of,
        )

    async def GetVariable(
        self, request: state_pb2.GetVariableRequest, call: CallContext
    ) -> state_pb2.GetVariableResponse:
        """Read one variable's value."""
        check.check_id(request.session_id, "session_id")
        check.check_optional_id(request.transaction_id, "transaction_id")
        if not 0 < len(request.name) <= NAME_CHARACTERS:
            raise BadFieldError.at("name", f"must have 1 to {NAME_CHARACTERS} characters")
        check.check_enum(request.format, state_pb2.ValueFormat.DESCRIPTOR.values_by_number, "format")
        check.refuse_unbuilt("format", asked=request.format == state_pb2.VALUE_FORMAT_ARROW)
        limit = check.check_count(
            request.max_bytes, "max_bytes", default=self._value_bytes, limit=self._value_bytes
        )
        variables = await self._variables(call, request.session_id)
        found = await variables.get(request.transaction_id, request.name, request.format, limit)
        return state_pb2.GetVariableResponse(
            variable=found.variables[0], data=found.data, mime_type=found.mime_type, as_of=found.as_of
        )

    async def _variables(self, call: CallContext, session_id: str) -> SessionVariables:
        return SessionVariables(await self._sessions.usable(call.tenant, session_id))
