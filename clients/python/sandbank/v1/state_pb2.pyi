from sandbank.v1 import checkpoint_pb2 as _checkpoint_pb2
from sandbank.v1 import session_pb2 as _session_pb2
from sandbank.v1 import variable_pb2 as _variable_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ValueFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VALUE_FORMAT_UNSPECIFIED: _ClassVar[ValueFormat]
    VALUE_FORMAT_REPR: _ClassVar[ValueFormat]
    VALUE_FORMAT_JSON: _ClassVar[ValueFormat]
    VALUE_FORMAT_MIME: _ClassVar[ValueFormat]
    VALUE_FORMAT_ARROW: _ClassVar[ValueFormat]

class ArrowAs(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ARROW_AS_UNSPECIFIED: _ClassVar[ArrowAs]
    ARROW_AS_PANDAS: _ClassVar[ArrowAs]
    ARROW_AS_TABLE: _ClassVar[ArrowAs]
    ARROW_AS_NUMPY: _ClassVar[ArrowAs]
VALUE_FORMAT_UNSPECIFIED: ValueFormat
VALUE_FORMAT_REPR: ValueFormat
VALUE_FORMAT_JSON: ValueFormat
VALUE_FORMAT_MIME: ValueFormat
VALUE_FORMAT_ARROW: ValueFormat
ARROW_AS_UNSPECIFIED: ArrowAs
ARROW_AS_PANDAS: ArrowAs
ARROW_AS_TABLE: ArrowAs
ARROW_AS_NUMPY: ArrowAs

class ListVariablesRequest(_message.Message):
    __slots__ = ("session_id", "transaction_id", "name_prefix", "include_private", "page_size", "page_token")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_PREFIX_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_PRIVATE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    transaction_id: str
    name_prefix: str
    include_private: bool
    page_size: int
    page_token: str
    def __init__(self, session_id: _Optional[str] = ..., transaction_id: _Optional[str] = ..., name_prefix: _Optional[str] = ..., include_private: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListVariablesResponse(_message.Message):
    __slots__ = ("variables", "next_page_token", "as_of")
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    variables: _containers.RepeatedCompositeFieldContainer[_variable_pb2.Variable]
    next_page_token: str
    as_of: _variable_pb2.AsOf
    def __init__(self, variables: _Optional[_Iterable[_Union[_variable_pb2.Variable, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., as_of: _Optional[_Union[_variable_pb2.AsOf, _Mapping]] = ...) -> None: ...

class GetVariableRequest(_message.Message):
    __slots__ = ("session_id", "transaction_id", "name", "format", "max_bytes")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    transaction_id: str
    name: str
    format: ValueFormat
    max_bytes: int
    def __init__(self, session_id: _Optional[str] = ..., transaction_id: _Optional[str] = ..., name: _Optional[str] = ..., format: _Optional[_Union[ValueFormat, str]] = ..., max_bytes: _Optional[int] = ...) -> None: ...

class GetVariableResponse(_message.Message):
    __slots__ = ("variable", "data", "mime_type", "as_of")
    VARIABLE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    MIME_TYPE_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    variable: _variable_pb2.Variable
    data: bytes
    mime_type: str
    as_of: _variable_pb2.AsOf
    def __init__(self, variable: _Optional[_Union[_variable_pb2.Variable, _Mapping]] = ..., data: _Optional[bytes] = ..., mime_type: _Optional[str] = ..., as_of: _Optional[_Union[_variable_pb2.AsOf, _Mapping]] = ...) -> None: ...

class SetVariableRequest(_message.Message):
    __slots__ = ("session_id", "name", "json", "arrow", "arrow_as", "transaction_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    ARROW_FIELD_NUMBER: _ClassVar[int]
    ARROW_AS_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    name: str
    json: str
    arrow: bytes
    arrow_as: ArrowAs
    transaction_id: str
    def __init__(self, session_id: _Optional[str] = ..., name: _Optional[str] = ..., json: _Optional[str] = ..., arrow: _Optional[bytes] = ..., arrow_as: _Optional[_Union[ArrowAs, str]] = ..., transaction_id: _Optional[str] = ...) -> None: ...

class SetVariableResponse(_message.Message):
    __slots__ = ("change",)
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    change: _variable_pb2.VariableChange
    def __init__(self, change: _Optional[_Union[_variable_pb2.VariableChange, _Mapping]] = ...) -> None: ...

class ExportVariableRequest(_message.Message):
    __slots__ = ("session_id", "transaction_id", "name", "format", "max_bytes")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    transaction_id: str
    name: str
    format: ValueFormat
    max_bytes: int
    def __init__(self, session_id: _Optional[str] = ..., transaction_id: _Optional[str] = ..., name: _Optional[str] = ..., format: _Optional[_Union[ValueFormat, str]] = ..., max_bytes: _Optional[int] = ...) -> None: ...

class ExportVariableHeader(_message.Message):
    __slots__ = ("variable", "mime_type", "as_of")
    VARIABLE_FIELD_NUMBER: _ClassVar[int]
    MIME_TYPE_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    variable: _variable_pb2.Variable
    mime_type: str
    as_of: _variable_pb2.AsOf
    def __init__(self, variable: _Optional[_Union[_variable_pb2.Variable, _Mapping]] = ..., mime_type: _Optional[str] = ..., as_of: _Optional[_Union[_variable_pb2.AsOf, _Mapping]] = ...) -> None: ...

class ExportVariableResponse(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: ExportVariableHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[ExportVariableHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class ImportVariableHeader(_message.Message):
    __slots__ = ("session_id", "transaction_id", "name", "format", "arrow_as")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    ARROW_AS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    transaction_id: str
    name: str
    format: ValueFormat
    arrow_as: ArrowAs
    def __init__(self, session_id: _Optional[str] = ..., transaction_id: _Optional[str] = ..., name: _Optional[str] = ..., format: _Optional[_Union[ValueFormat, str]] = ..., arrow_as: _Optional[_Union[ArrowAs, str]] = ...) -> None: ...

class ImportVariableRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: ImportVariableHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[ImportVariableHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class ImportVariableResponse(_message.Message):
    __slots__ = ("change",)
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    change: _variable_pb2.VariableChange
    def __init__(self, change: _Optional[_Union[_variable_pb2.VariableChange, _Mapping]] = ...) -> None: ...

class CompleteRequest(_message.Message):
    __slots__ = ("session_id", "transaction_id", "code", "cursor_position")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    CURSOR_POSITION_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    transaction_id: str
    code: str
    cursor_position: int
    def __init__(self, session_id: _Optional[str] = ..., transaction_id: _Optional[str] = ..., code: _Optional[str] = ..., cursor_position: _Optional[int] = ...) -> None: ...

class CompletionMatch(_message.Message):
    __slots__ = ("text", "type", "signature")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    text: str
    type: str
    signature: str
    def __init__(self, text: _Optional[str] = ..., type: _Optional[str] = ..., signature: _Optional[str] = ...) -> None: ...

class CompleteResponse(_message.Message):
    __slots__ = ("matches", "start_position", "end_position", "as_of")
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    START_POSITION_FIELD_NUMBER: _ClassVar[int]
    END_POSITION_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    matches: _containers.RepeatedCompositeFieldContainer[CompletionMatch]
    start_position: int
    end_position: int
    as_of: _variable_pb2.AsOf
    def __init__(self, matches: _Optional[_Iterable[_Union[CompletionMatch, _Mapping]]] = ..., start_position: _Optional[int] = ..., end_position: _Optional[int] = ..., as_of: _Optional[_Union[_variable_pb2.AsOf, _Mapping]] = ...) -> None: ...

class InspectRequest(_message.Message):
    __slots__ = ("session_id", "transaction_id", "code", "cursor_position", "detail_level")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    CURSOR_POSITION_FIELD_NUMBER: _ClassVar[int]
    DETAIL_LEVEL_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    transaction_id: str
    code: str
    cursor_position: int
    detail_level: int
    def __init__(self, session_id: _Optional[str] = ..., transaction_id: _Optional[str] = ..., code: _Optional[str] = ..., cursor_position: _Optional[int] = ..., detail_level: _Optional[int] = ...) -> None: ...

class InspectResponse(_message.Message):
    __slots__ = ("found", "data", "as_of")
    class DataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    FOUND_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    found: bool
    data: _containers.ScalarMap[str, bytes]
    as_of: _variable_pb2.AsOf
    def __init__(self, found: _Optional[bool] = ..., data: _Optional[_Mapping[str, bytes]] = ..., as_of: _Optional[_Union[_variable_pb2.AsOf, _Mapping]] = ...) -> None: ...

class CheckpointRequest(_message.Message):
    __slots__ = ("session_id", "request_id", "labels", "verify")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    VERIFY_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    request_id: str
    labels: _containers.ScalarMap[str, str]
    verify: bool
    def __init__(self, session_id: _Optional[str] = ..., request_id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., verify: _Optional[bool] = ...) -> None: ...

class CheckpointResponse(_message.Message):
    __slots__ = ("checkpoint",)
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    checkpoint: _checkpoint_pb2.Checkpoint
    def __init__(self, checkpoint: _Optional[_Union[_checkpoint_pb2.Checkpoint, _Mapping]] = ...) -> None: ...

class RestoreRequest(_message.Message):
    __slots__ = ("session_id", "checkpoint_id", "allow_lost")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    ALLOW_LOST_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    checkpoint_id: str
    allow_lost: bool
    def __init__(self, session_id: _Optional[str] = ..., checkpoint_id: _Optional[str] = ..., allow_lost: _Optional[bool] = ...) -> None: ...

class RestoreResponse(_message.Message):
    __slots__ = ("session", "report")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    session: _session_pb2.Session
    report: _checkpoint_pb2.RestoreReport
    def __init__(self, session: _Optional[_Union[_session_pb2.Session, _Mapping]] = ..., report: _Optional[_Union[_checkpoint_pb2.RestoreReport, _Mapping]] = ...) -> None: ...

class GetCheckpointRequest(_message.Message):
    __slots__ = ("checkpoint_id",)
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    def __init__(self, checkpoint_id: _Optional[str] = ...) -> None: ...

class GetCheckpointResponse(_message.Message):
    __slots__ = ("checkpoint",)
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    checkpoint: _checkpoint_pb2.Checkpoint
    def __init__(self, checkpoint: _Optional[_Union[_checkpoint_pb2.Checkpoint, _Mapping]] = ...) -> None: ...

class ListCheckpointsRequest(_message.Message):
    __slots__ = ("session_id", "page_size", "page_token")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    page_size: int
    page_token: str
    def __init__(self, session_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCheckpointsResponse(_message.Message):
    __slots__ = ("checkpoints", "next_page_token")
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    checkpoints: _containers.RepeatedCompositeFieldContainer[_checkpoint_pb2.Checkpoint]
    next_page_token: str
    def __init__(self, checkpoints: _Optional[_Iterable[_Union[_checkpoint_pb2.Checkpoint, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteCheckpointRequest(_message.Message):
    __slots__ = ("checkpoint_id",)
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    def __init__(self, checkpoint_id: _Optional[str] = ...) -> None: ...

class DeleteCheckpointResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
