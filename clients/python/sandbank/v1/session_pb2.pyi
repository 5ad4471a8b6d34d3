import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from sandbank.v1 import checkpoint_pb2 as _checkpoint_pb2
from sandbank.v1 import execution_pb2 as _execution_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RecoveryPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RECOVERY_POLICY_UNSPECIFIED: _ClassVar[RecoveryPolicy]
    RECOVERY_POLICY_RESUME: _ClassVar[RecoveryPolicy]
    RECOVERY_POLICY_MANUAL: _ClassVar[RecoveryPolicy]

class CheckpointPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHECKPOINT_POLICY_UNSPECIFIED: _ClassVar[CheckpointPolicy]
    CHECKPOINT_POLICY_NONE: _ClassVar[CheckpointPolicy]
    CHECKPOINT_POLICY_ON_IDLE: _ClassVar[CheckpointPolicy]
    CHECKPOINT_POLICY_AFTER_CHANGE: _ClassVar[CheckpointPolicy]
    CHECKPOINT_POLICY_SYNCHRONOUS: _ClassVar[CheckpointPolicy]

class IdleAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IDLE_ACTION_UNSPECIFIED: _ClassVar[IdleAction]
    IDLE_ACTION_HIBERNATE: _ClassVar[IdleAction]
    IDLE_ACTION_TERMINATE: _ClassVar[IdleAction]
RECOVERY_POLICY_UNSPECIFIED: RecoveryPolicy
RECOVERY_POLICY_RESUME: RecoveryPolicy
RECOVERY_POLICY_MANUAL: RecoveryPolicy
CHECKPOINT_POLICY_UNSPECIFIED: CheckpointPolicy
CHECKPOINT_POLICY_NONE: CheckpointPolicy
CHECKPOINT_POLICY_ON_IDLE: CheckpointPolicy
CHECKPOINT_POLICY_AFTER_CHANGE: CheckpointPolicy
CHECKPOINT_POLICY_SYNCHRONOUS: CheckpointPolicy
IDLE_ACTION_UNSPECIFIED: IdleAction
IDLE_ACTION_HIBERNATE: IdleAction
IDLE_ACTION_TERMINATE: IdleAction

class SnapshotPolicy(_message.Message):
    __slots__ = ("history_count", "disabled", "quiet_time")
    HISTORY_COUNT_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    QUIET_TIME_FIELD_NUMBER: _ClassVar[int]
    history_count: int
    disabled: bool
    quiet_time: _duration_pb2.Duration
    def __init__(self, history_count: _Optional[int] = ..., disabled: _Optional[bool] = ..., quiet_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("session_id", "sandbox_id", "template", "state", "state_detail", "create_time", "last_active_time", "expire_time", "execution_count", "generation", "labels", "latest_checkpoint_id", "open_transaction_id", "last_recovery", "python_version")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Session.State]
        STATE_ACTIVE: _ClassVar[Session.State]
        STATE_IDLE: _ClassVar[Session.State]
        STATE_CRASHED: _ClassVar[Session.State]
        STATE_HIBERNATED: _ClassVar[Session.State]
        STATE_TERMINATED: _ClassVar[Session.State]
    STATE_UNSPECIFIED: Session.State
    STATE_ACTIVE: Session.State
    STATE_IDLE: Session.State
    STATE_CRASHED: Session.State
    STATE_HIBERNATED: Session.State
    STATE_TERMINATED: Session.State
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_DETAIL_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_ACTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    LATEST_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    OPEN_TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_RECOVERY_FIELD_NUMBER: _ClassVar[int]
    PYTHON_VERSION_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    sandbox_id: str
    template: str
    state: Session.State
    state_detail: str
    create_time: _timestamp_pb2.Timestamp
    last_active_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    execution_count: int
    generation: int
    labels: _containers.ScalarMap[str, str]
    latest_checkpoint_id: str
    open_transaction_id: str
    last_recovery: Recovery
    python_version: str
    def __init__(self, session_id: _Optional[str] = ..., sandbox_id: _Optional[str] = ..., template: _Optional[str] = ..., state: _Optional[_Union[Session.State, str]] = ..., state_detail: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_active_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., execution_count: _Optional[int] = ..., generation: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., latest_checkpoint_id: _Optional[str] = ..., open_transaction_id: _Optional[str] = ..., last_recovery: _Optional[_Union[Recovery, _Mapping]] = ..., python_version: _Optional[str] = ...) -> None: ...

class Recovery(_message.Message):
    __slots__ = ("time", "reason", "from_checkpoint_id", "generation", "lost_operation_ids", "lost_variables", "lost_files", "recomputed", "wall_time")
    TIME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FROM_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    LOST_OPERATION_IDS_FIELD_NUMBER: _ClassVar[int]
    LOST_VARIABLES_FIELD_NUMBER: _ClassVar[int]
    LOST_FILES_FIELD_NUMBER: _ClassVar[int]
    RECOMPUTED_FIELD_NUMBER: _ClassVar[int]
    WALL_TIME_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    reason: str
    from_checkpoint_id: str
    generation: int
    lost_operation_ids: _containers.RepeatedScalarFieldContainer[str]
    lost_variables: _containers.RepeatedScalarFieldContainer[str]
    lost_files: _containers.RepeatedScalarFieldContainer[str]
    recomputed: _containers.RepeatedScalarFieldContainer[str]
    wall_time: _duration_pb2.Duration
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., from_checkpoint_id: _Optional[str] = ..., generation: _Optional[int] = ..., lost_operation_ids: _Optional[_Iterable[str]] = ..., lost_variables: _Optional[_Iterable[str]] = ..., lost_files: _Optional[_Iterable[str]] = ..., recomputed: _Optional[_Iterable[str]] = ..., wall_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SessionEvent(_message.Message):
    __slots__ = ("sequence", "time", "session_changed", "recovery", "background_output")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SESSION_CHANGED_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    time: _timestamp_pb2.Timestamp
    session_changed: Session
    recovery: Recovery
    background_output: BackgroundOutput
    def __init__(self, sequence: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., session_changed: _Optional[_Union[Session, _Mapping]] = ..., recovery: _Optional[_Union[Recovery, _Mapping]] = ..., background_output: _Optional[_Union[BackgroundOutput, _Mapping]] = ...) -> None: ...

class BackgroundOutput(_message.Message):
    __slots__ = ("stream", "data", "dropped_bytes")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    DROPPED_BYTES_FIELD_NUMBER: _ClassVar[int]
    stream: _execution_pb2.OutputStream
    data: bytes
    dropped_bytes: int
    def __init__(self, stream: _Optional[_Union[_execution_pb2.OutputStream, str]] = ..., data: _Optional[bytes] = ..., dropped_bytes: _Optional[int] = ...) -> None: ...

class CreateSessionRequest(_message.Message):
    __slots__ = ("request_id", "template", "labels", "env", "secret_env", "idle_timeout", "max_lifetime", "recovery_policy", "checkpoint_policy", "snapshot_policy", "idle_action", "recompute", "from_checkpoint_id")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SecretEnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    SECRET_ENV_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_LIFETIME_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_POLICY_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_POLICY_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_POLICY_FIELD_NUMBER: _ClassVar[int]
    IDLE_ACTION_FIELD_NUMBER: _ClassVar[int]
    RECOMPUTE_FIELD_NUMBER: _ClassVar[int]
    FROM_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    template: str
    labels: _containers.ScalarMap[str, str]
    env: _containers.ScalarMap[str, str]
    secret_env: _containers.ScalarMap[str, str]
    idle_timeout: _duration_pb2.Duration
    max_lifetime: _duration_pb2.Duration
    recovery_policy: RecoveryPolicy
    checkpoint_policy: CheckpointPolicy
    snapshot_policy: SnapshotPolicy
    idle_action: IdleAction
    recompute: bool
    from_checkpoint_id: str
    def __init__(self, request_id: _Optional[str] = ..., template: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., env: _Optional[_Mapping[str, str]] = ..., secret_env: _Optional[_Mapping[str, str]] = ..., idle_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_lifetime: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., recovery_policy: _Optional[_Union[RecoveryPolicy, str]] = ..., checkpoint_policy: _Optional[_Union[CheckpointPolicy, str]] = ..., snapshot_policy: _Optional[_Union[SnapshotPolicy, _Mapping]] = ..., idle_action: _Optional[_Union[IdleAction, str]] = ..., recompute: _Optional[bool] = ..., from_checkpoint_id: _Optional[str] = ...) -> None: ...

class CreateSessionResponse(_message.Message):
    __slots__ = ("session", "restore_report")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    RESTORE_REPORT_FIELD_NUMBER: _ClassVar[int]
    session: Session
    restore_report: _checkpoint_pb2.RestoreReport
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ..., restore_report: _Optional[_Union[_checkpoint_pb2.RestoreReport, _Mapping]] = ...) -> None: ...

class GetSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class GetSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class UpdateSessionRequest(_message.Message):
    __slots__ = ("session_id", "labels", "idle_timeout", "extend_lifetime")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    EXTEND_LIFETIME_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    labels: _containers.ScalarMap[str, str]
    idle_timeout: _duration_pb2.Duration
    extend_lifetime: _duration_pb2.Duration
    def __init__(self, session_id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., idle_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., extend_lifetime: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class UpdateSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class ListSessionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "filter_labels", "states")
    class FilterLabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_LABELS_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    filter_labels: _containers.ScalarMap[str, str]
    states: _containers.RepeatedScalarFieldContainer[Session.State]
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., filter_labels: _Optional[_Mapping[str, str]] = ..., states: _Optional[_Iterable[_Union[Session.State, str]]] = ...) -> None: ...

class ListSessionsResponse(_message.Message):
    __slots__ = ("sessions", "next_page_token")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[Session]
    next_page_token: str
    def __init__(self, sessions: _Optional[_Iterable[_Union[Session, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class DeleteSessionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResetSessionRequest(_message.Message):
    __slots__ = ("session_id", "keep_files")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    KEEP_FILES_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    keep_files: bool
    def __init__(self, session_id: _Optional[str] = ..., keep_files: _Optional[bool] = ...) -> None: ...

class ResetSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class RewindSessionRequest(_message.Message):
    __slots__ = ("session_id", "operation_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    operation_id: str
    def __init__(self, session_id: _Optional[str] = ..., operation_id: _Optional[str] = ...) -> None: ...

class RewindSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class ForkSessionRequest(_message.Message):
    __slots__ = ("session_id", "request_id", "count", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    request_id: str
    count: int
    labels: _containers.ScalarMap[str, str]
    def __init__(self, session_id: _Optional[str] = ..., request_id: _Optional[str] = ..., count: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ForkSessionResponse(_message.Message):
    __slots__ = ("sessions", "restore_reports")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    RESTORE_REPORTS_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[Session]
    restore_reports: _containers.RepeatedCompositeFieldContainer[_checkpoint_pb2.RestoreReport]
    def __init__(self, sessions: _Optional[_Iterable[_Union[Session, _Mapping]]] = ..., restore_reports: _Optional[_Iterable[_Union[_checkpoint_pb2.RestoreReport, _Mapping]]] = ...) -> None: ...

class HibernateSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class HibernateSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class WatchSessionRequest(_message.Message):
    __slots__ = ("session_id", "after_sequence")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    after_sequence: int
    def __init__(self, session_id: _Optional[str] = ..., after_sequence: _Optional[int] = ...) -> None: ...
