"""The methods of the API that this client calls, each with its messages and whether repeating it is safe."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from sandbank.v1 import execution_pb2, file_pb2, info_pb2, pool_pb2, session_pb2, state_pb2

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)


class Repeat(Enum):
    """When a call may be sent again by itself."""

    # Also when its connection broke and the server may have done it: doing it twice is doing it once.
    ALWAYS = "always"
    # Only when the server says that it recorded nothing.
    WHEN_REFUSED = "when refused"


@dataclass(frozen=True)
class Method(Generic[RequestT, ResponseT]):
    """One RPC."""

    service: str
    name: str
    request: type[RequestT]
    response: type[ResponseT]
    repeat: Repeat = Repeat.ALWAYS

    @property
    def path(self) -> str:
        """The RPC's path on the wire."""
        return f"/sandbank.v1.{self.service}/{self.name}"

    def serialize(self, message: Any) -> bytes:
        """Return a request's bytes."""
        return bytes(message.SerializeToString())

    def parse(self, data: bytes) -> Any:
        """Return a response from its bytes."""
        return self.response.FromString(data)


# CreateSession, Fork and Checkpoint are safe because the client makes a request_id, Execute and Run because it makes an
# operation_id, before the first try; Upload because a file is replaced whole; Commit and Rollback because ending
# a transaction twice in the same way is ending it once; SetVariable and ImportVariable because
# the value is the same; ProvideInput because an input_id is answered once, and who answers again is told so. Begin has
# no id of the client's: if its answer was lost, a transaction may be open.
_s, _S = "SessionService", session_pb2
CREATE_SESSION = Method(_s, "CreateSession", _S.CreateSessionRequest, _S.CreateSessionResponse)
GET_SESSION = Method(_s, "GetSession", _S.GetSessionRequest, _S.GetSessionResponse)
UPDATE_SESSION = Method(
    _s, "UpdateSession", _S.UpdateSessionRequest, _S.UpdateSessionResponse, Repeat.WHEN_REFUSED
)
LIST_SESSIONS = Method(_s, "ListSessions", _S.ListSessionsRequest, _S.ListSessionsResponse)
DELETE_SESSION = Method(_s, "DeleteSession", _S.DeleteSessionRequest, _S.DeleteSessionResponse)
RESET_SESSION = Method(
    _s, "ResetSession", _S.ResetSessionRequest, _S.ResetSessionResponse, Repeat.WHEN_REFUSED
)
REWIND_SESSION = Method(
    _s, "RewindSession", _S.RewindSessionRequest, _S.RewindSessionResponse, Repeat.WHEN_REFUSED
)
HIBERNATE_SESSION = Method(_s, "HibernateSession", _S.HibernateSessionRequest, _S.HibernateSessionResponse)
FORK_SESSION = Method(_s, "ForkSession", _S.ForkSessionRequest, _S.ForkSessionResponse)
WATCH_SESSION = Method(_s, "WatchSession", _S.WatchSessionRequest, _S.SessionEvent)

_e, _E = "ExecutionService", execution_pb2
EXECUTE = Method(_e, "Execute", _E.ExecuteRequest, _E.OperationEvent)
RUN = Method(_e, "Run", _E.RunRequest, _E.RunResponse)
WATCH_OPERATION = Method(_e, "WatchOperation", _E.WatchOperationRequest, _E.OperationEvent)
GET_OPERATION = Method(_e, "GetOperation", _E.GetOperationRequest, _E.GetOperationResponse)
LIST_OPERATIONS = Method(_e, "ListOperations", _E.ListOperationsRequest, _E.ListOperationsResponse)
CANCEL_OPERATION = Method(_e, "CancelOperation", _E.CancelOperationRequest, _E.CancelOperationResponse)
PROVIDE_INPUT = Method(_e, "ProvideInput", _E.ProvideInputRequest, _E.ProvideInputResponse)
INTERACT = Method(_e, "Interact", _E.InteractRequest, _E.OperationEvent)
BEGIN_TRANSACTION = Method(
    _e,
    "BeginTransaction",
    _E.BeginTransactionRequest,
    _E.BeginTransactionResponse,
    Repeat.WHEN_REFUSED,
)
COMMIT_TRANSACTION = Method(
    _e, "CommitTransaction", _E.CommitTransactionRequest, _E.CommitTransactionResponse
)
ROLLBACK_TRANSACTION = Method(
    _e, "RollbackTransaction", _E.RollbackTransactionRequest, _E.RollbackTransactionResponse
)

_v, _V = "StateService", state_pb2
LIST_VARIABLES = Method(_v, "ListVariables", _V.ListVariablesRequest, _V.ListVariablesResponse)
GET_VARIABLE = Method(_v, "GetVariable", _V.GetVariableRequest, _V.GetVariableResponse)
COMPLETE = Method(_v, "Complete", _V.CompleteRequest, _V.CompleteResponse)
INSPECT = Method(_v, "Inspect", _V.InspectRequest, _V.InspectResponse)
SET_VARIABLE = Method(_v, "SetVariable", _V.SetVariableRequest, _V.SetVariableResponse)
EXPORT_VARIABLE = Method(_v, "ExportVariable", _V.ExportVariableRequest, _V.ExportVariableResponse)
IMPORT_VARIABLE = Method(_v, "ImportVariable", _V.ImportVariableRequest, _V.ImportVariableResponse)

CHECKPOINT = Method(_v, "Checkpoint", _V.CheckpointRequest, _V.CheckpointResponse)
RESTORE = Method(_v, "Restore", _V.RestoreRequest, _V.RestoreResponse, Repeat.WHEN_REFUSED)
GET_CHECKPOINT = Method(_v, "GetCheckpoint", _V.GetCheckpointRequest, _V.GetCheckpointResponse)
LIST_CHECKPOINTS = Method(_v, "ListCheckpoints", _V.ListCheckpointsRequest, _V.ListCheckpointsResponse)
DELETE_CHECKPOINT = Method(
    _v, "DeleteCheckpoint", _V.DeleteCheckpointRequest, _V.DeleteCheckpointResponse, Repeat.WHEN_REFUSED
)

_f, _F = "FileService", file_pb2
UPLOAD_FILE = Method(_f, "UploadFile", _F.UploadFileRequest, _F.UploadFileResponse)
DOWNLOAD_FILE = Method(_f, "DownloadFile", _F.DownloadFileRequest, _F.DownloadFileResponse)
LIST_FILES = Method(_f, "ListFiles", _F.ListFilesRequest, _F.ListFilesResponse)
STAT_FILE = Method(_f, "StatFile", _F.StatFileRequest, _F.StatFileResponse)
DELETE_FILE = Method(_f, "DeleteFile", _F.DeleteFileRequest, _F.DeleteFileResponse, Repeat.WHEN_REFUSED)
MAKE_DIRECTORY = Method(_f, "MakeDirectory", _F.MakeDirectoryRequest, _F.MakeDirectoryResponse)

_p, _P = "PoolService", pool_pb2
GET_POOL = Method(_p, "GetPool", _P.GetPoolRequest, _P.GetPoolResponse)
LIST_POOLS = Method(_p, "ListPools", _P.ListPoolsRequest, _P.ListPoolsResponse)
RESIZE_POOL = Method(_p, "ResizePool", _P.ResizePoolRequest, _P.ResizePoolResponse)
LIST_SANDBOXES = Method(_p, "ListSandboxes", _P.ListSandboxesRequest, _P.ListSandboxesResponse)
WATCH_POOL = Method(_p, "WatchPool", _P.WatchPoolRequest, _P.PoolEvent)

_i, _I = "InfoService", info_pb2
GET_SERVER_INFO = Method(_i, "GetServerInfo", _I.GetServerInfoRequest, _I.GetServerInfoResponse)
LIST_TEMPLATES = Method(_i, "ListTemplates", _I.ListTemplatesRequest, _I.ListTemplatesResponse)
GET_TEMPLATE = Method(_i, "GetTemplate", _I.GetTemplateRequest, _I.GetTemplateResponse)
