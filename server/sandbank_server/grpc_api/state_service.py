"""StateService: requests to use cases and back."""

from __future__ import annotations

from datetime import datetime

from sandbank.v1 import checkpoint_pb2, state_pb2

from sandbank_server.catalog.base import CheckpointKey, CheckpointRecord
from sandbank_server.checkpoints.library import CheckpointLibrary
from sandbank_server.checkpoints.messages import checkpoint_message
from sandbank_server.errors import BadFieldError
from sandbank_server.grpc_api import validation as check
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.code_methods import CodeMethods
from sandbank_server.grpc_api.limits import RequestLimits
from sandbank_server.grpc_api.paging import PageTokens
from sandbank_server.grpc_api.value_methods import ValueMethods
from sandbank_server.runners.variables import VALUE_BYTES
from sandbank_server.sessions.contents.variables import Listing, SessionVariables
from sandbank_server.sessions.manager import SessionManager

NAME_CHARACTERS = 1000
_BESIDE_THE_VALUE_BYTES = 128 * 1024
"""What the rest of a response may take."""


class StateService(CodeMethods, ValueMethods):
    """The servicer."""

    def __init__(
        self,
        sessions: SessionManager,
        library: CheckpointLibrary,
        limits: RequestLimits,
        tokens: PageTokens,
    ) -> None:
        super().__init__(sessions, limits)
        self._library = library
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
        limit = check.check_count(
            request.max_bytes, "max_bytes", default=self._value_bytes, limit=self._value_bytes
        )
        variables = await self._variables(call, request.session_id)
        found = await variables.get(request.transaction_id, request.name, request.format, limit)
        return state_pb2.GetVariableResponse(
            variable=found.variables[0], data=found.data, mime_type=found.mime_type, as_of=found.as_of
        )

    async def Checkpoint(
        self, request: state_pb2.CheckpointRequest, call: CallContext
    ) -> state_pb2.CheckpointResponse:
        """Save the state of a session."""
        check.check_id(request.session_id, "session_id")
        request_id = check.check_optional_id(request.request_id, "request_id")
        labels = check.check_labels(request.labels)
        session = await self._sessions.usable(call.tenant, request.session_id)
        record = await session.checkpoint(request_id, labels, verify=request.verify)
        return state_pb2.CheckpointResponse(checkpoint=await self._whole(record))

    async def Restore(
        self, request: state_pb2.RestoreRequest, call: CallContext
    ) -> state_pb2.RestoreResponse:
        """Replace the state of a session by a checkpoint's."""
        check.check_id(request.session_id, "session_id")
        check.check_id(request.checkpoint_id, "checkpoint_id")
        session = await self._sessions.usable(call.tenant, request.session_id)
        report = await session.restore(request.checkpoint_id, allow_lost=request.allow_lost)
        return state_pb2.RestoreResponse(session=session.view(), report=report)

    async def GetCheckpoint(
        self, request: state_pb2.GetCheckpointRequest, call: CallContext
    ) -> state_pb2.GetCheckpointResponse:
        """Read a checkpoint with all that is in it."""
        checkpoint_id = check.check_id(request.checkpoint_id, "checkpoint_id")
        record = await self._library.get(call.tenant, checkpoint_id)
        return state_pb2.GetCheckpointResponse(checkpoint=await self._whole(record))

    async def ListCheckpoints(
        self, request: state_pb2.ListCheckpointsRequest, call: CallContext
    ) -> state_pb2.ListCheckpointsResponse:
        """List a page of a session's checkpoints, the newest first."""
        session_id = check.check_optional_id(request.session_id, "session_id")
        size = check.check_page_size(request.page_size)
        scope = ["checkpoints", call.tenant, session_id]
        cursor = self._tokens.read(scope, request.page_token)
        after = CheckpointKey(datetime.fromisoformat(cursor[0]), cursor[1]) if cursor else None
        found = await self._library.list(call.tenant, session_id, size + 1, after)
        more = ""
        if len(found) > size:
            last = found[size - 1]
            more = self._tokens.make(scope, [last.create_time.isoformat(), last.checkpoint_id])
        messages = [checkpoint_message(record) for record in found[:size]]
        return state_pb2.ListCheckpointsResponse(checkpoints=messages, next_page_token=more)

    async def DeleteCheckpoint(
        self, request: state_pb2.DeleteCheckpointRequest, call: CallContext
    ) -> state_pb2.DeleteCheckpointResponse:
        """Forget a checkpoint."""
        checkpoint_id = check.check_id(request.checkpoint_id, "checkpoint_id")
        await self._sessions.wake_from(call.tenant, checkpoint_id)
        await self._library.delete(call.tenant, checkpoint_id)
        return state_pb2.DeleteCheckpointResponse()

    async def _whole(self, record: CheckpointRecord) -> checkpoint_pb2.Checkpoint:
        return checkpoint_message(record, await self._library.manifest(record))

    async def _variables(self, call: CallContext, session_id: str) -> SessionVariables:
        return SessionVariables(await self._sessions.usable(call.tenant, session_id))
