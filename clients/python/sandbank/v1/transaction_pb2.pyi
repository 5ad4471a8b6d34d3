import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TxPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TX_POLICY_UNSPECIFIED: _ClassVar[TxPolicy]
    TX_POLICY_NONE: _ClassVar[TxPolicy]
    TX_POLICY_COMMIT_ON_SUCCESS: _ClassVar[TxPolicy]
    TX_POLICY_ROLLBACK_ON_FAILURE: _ClassVar[TxPolicy]
    TX_POLICY_EXPLICIT: _ClassVar[TxPolicy]

class Isolation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ISOLATION_UNSPECIFIED: _ClassVar[Isolation]
    ISOLATION_PROCESS: _ClassVar[Isolation]
    ISOLATION_NAMESPACE: _ClassVar[Isolation]
TX_POLICY_UNSPECIFIED: TxPolicy
TX_POLICY_NONE: TxPolicy
TX_POLICY_COMMIT_ON_SUCCESS: TxPolicy
TX_POLICY_ROLLBACK_ON_FAILURE: TxPolicy
TX_POLICY_EXPLICIT: TxPolicy
ISOLATION_UNSPECIFIED: Isolation
ISOLATION_PROCESS: Isolation
ISOLATION_NAMESPACE: Isolation

class Transaction(_message.Message):
    __slots__ = ("transaction_id", "session_id", "state", "begin_time", "expire_time", "operation_ids", "include_files")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Transaction.State]
        STATE_OPEN: _ClassVar[Transaction.State]
        STATE_COMMITTED: _ClassVar[Transaction.State]
        STATE_ROLLED_BACK: _ClassVar[Transaction.State]
    STATE_UNSPECIFIED: Transaction.State
    STATE_OPEN: Transaction.State
    STATE_COMMITTED: Transaction.State
    STATE_ROLLED_BACK: Transaction.State
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    BEGIN_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    OPERATION_IDS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FILES_FIELD_NUMBER: _ClassVar[int]
    transaction_id: str
    session_id: str
    state: Transaction.State
    begin_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    operation_ids: _containers.RepeatedScalarFieldContainer[str]
    include_files: bool
    def __init__(self, transaction_id: _Optional[str] = ..., session_id: _Optional[str] = ..., state: _Optional[_Union[Transaction.State, str]] = ..., begin_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., operation_ids: _Optional[_Iterable[str]] = ..., include_files: _Optional[bool] = ...) -> None: ...
