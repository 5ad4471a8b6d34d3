import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Fidelity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FIDELITY_UNSPECIFIED: _ClassVar[Fidelity]
    FIDELITY_EXACT: _ClassVar[Fidelity]
    FIDELITY_RECOMPUTED: _ClassVar[Fidelity]
    FIDELITY_LOST: _ClassVar[Fidelity]
FIDELITY_UNSPECIFIED: Fidelity
FIDELITY_EXACT: Fidelity
FIDELITY_RECOMPUTED: Fidelity
FIDELITY_LOST: Fidelity

class Checkpoint(_message.Message):
    __slots__ = ("checkpoint_id", "session_id", "parent_checkpoint_id", "create_time", "labels", "size_bytes", "new_bytes", "wall_time", "execution_count", "last_operation_id", "variables", "files", "python_version", "verified")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    NEW_BYTES_FIELD_NUMBER: _ClassVar[int]
    WALL_TIME_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    PYTHON_VERSION_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    session_id: str
    parent_checkpoint_id: str
    create_time: _timestamp_pb2.Timestamp
    labels: _containers.ScalarMap[str, str]
    size_bytes: int
    new_bytes: int
    wall_time: _duration_pb2.Duration
    execution_count: int
    last_operation_id: str
    variables: _containers.RepeatedCompositeFieldContainer[CheckpointVariable]
    files: _containers.RepeatedCompositeFieldContainer[CheckpointFile]
    python_version: str
    verified: bool
    def __init__(self, checkpoint_id: _Optional[str] = ..., session_id: _Optional[str] = ..., parent_checkpoint_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., size_bytes: _Optional[int] = ..., new_bytes: _Optional[int] = ..., wall_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., execution_count: _Optional[int] = ..., last_operation_id: _Optional[str] = ..., variables: _Optional[_Iterable[_Union[CheckpointVariable, _Mapping]]] = ..., files: _Optional[_Iterable[_Union[CheckpointFile, _Mapping]]] = ..., python_version: _Optional[str] = ..., verified: _Optional[bool] = ...) -> None: ...

class CheckpointVariable(_message.Message):
    __slots__ = ("name", "type_name", "size_bytes", "fidelity", "reason", "group_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FIDELITY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    type_name: str
    size_bytes: int
    fidelity: Fidelity
    reason: str
    group_id: str
    def __init__(self, name: _Optional[str] = ..., type_name: _Optional[str] = ..., size_bytes: _Optional[int] = ..., fidelity: _Optional[_Union[Fidelity, str]] = ..., reason: _Optional[str] = ..., group_id: _Optional[str] = ...) -> None: ...

class CheckpointFile(_message.Message):
    __slots__ = ("path", "size_bytes", "sha256", "fidelity", "reason")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    FIDELITY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    path: str
    size_bytes: int
    sha256: str
    fidelity: Fidelity
    reason: str
    def __init__(self, path: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., fidelity: _Optional[_Union[Fidelity, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class RestoreReport(_message.Message):
    __slots__ = ("restored_count", "lost", "recomputed", "wall_time", "lost_files")
    RESTORED_COUNT_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    RECOMPUTED_FIELD_NUMBER: _ClassVar[int]
    WALL_TIME_FIELD_NUMBER: _ClassVar[int]
    LOST_FILES_FIELD_NUMBER: _ClassVar[int]
    restored_count: int
    lost: _containers.RepeatedCompositeFieldContainer[CheckpointVariable]
    recomputed: _containers.RepeatedCompositeFieldContainer[CheckpointVariable]
    wall_time: _duration_pb2.Duration
    lost_files: _containers.RepeatedCompositeFieldContainer[CheckpointFile]
    def __init__(self, restored_count: _Optional[int] = ..., lost: _Optional[_Iterable[_Union[CheckpointVariable, _Mapping]]] = ..., recomputed: _Optional[_Iterable[_Union[CheckpointVariable, _Mapping]]] = ..., wall_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., lost_files: _Optional[_Iterable[_Union[CheckpointFile, _Mapping]]] = ...) -> None: ...
