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

class Purpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PURPOSE_UNSPECIFIED: _ClassVar[Purpose]
    PURPOSE_CONTROL: _ClassVar[Purpose]
    PURPOSE_FILES: _ClassVar[Purpose]
    PURPOSE_STATE: _ClassVar[Purpose]
PURPOSE_UNSPECIFIED: Purpose
PURPOSE_CONTROL: Purpose
PURPOSE_FILES: Purpose
PURPOSE_STATE: Purpose

class ToRunner(_message.Message):
    __slots__ = ("request_id", "open", "assign", "submit", "cancel", "fetch", "get_operation", "reset", "ping", "file", "file_chunk", "shutdown", "begin_transaction", "end_transaction", "rewind", "provide_input", "read", "checkpoint", "checkpoint_ended", "restore", "export_variable", "import_variable")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    ASSIGN_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    FETCH_FIELD_NUMBER: _ClassVar[int]
    GET_OPERATION_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    FILE_CHUNK_FIELD_NUMBER: _ClassVar[int]
    SHUTDOWN_FIELD_NUMBER: _ClassVar[int]
    BEGIN_TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    END_TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    REWIND_FIELD_NUMBER: _ClassVar[int]
    PROVIDE_INPUT_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ENDED_FIELD_NUMBER: _ClassVar[int]
    RESTORE_FIELD_NUMBER: _ClassVar[int]
    EXPORT_VARIABLE_FIELD_NUMBER: _ClassVar[int]
    IMPORT_VARIABLE_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    open: Open
    assign: Assign
    submit: Submit
    cancel: Cancel
    fetch: Fetch
    get_operation: GetOperation
    reset: Reset
    ping: Ping
    file: FileRequest
    file_chunk: FileChunk
    shutdown: Shutdown
    begin_transaction: BeginTransaction
    end_transaction: EndTransaction
    rewind: Rewind
    provide_input: ProvideInput
    read: Read
    checkpoint: Checkpoint
    checkpoint_ended: CheckpointEnded
    restore: Restore
    export_variable: ExportVariable
    import_variable: ImportVariable
    def __init__(self, request_id: _Optional[int] = ..., open: _Optional[_Union[Open, _Mapping]] = ..., assign: _Optional[_Union[Assign, _Mapping]] = ..., submit: _Optional[_Union[Submit, _Mapping]] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ..., fetch: _Optional[_Union[Fetch, _Mapping]] = ..., get_operation: _Optional[_Union[GetOperation, _Mapping]] = ..., reset: _Optional[_Union[Reset, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., file: _Optional[_Union[FileRequest, _Mapping]] = ..., file_chunk: _Optional[_Union[FileChunk, _Mapping]] = ..., shutdown: _Optional[_Union[Shutdown, _Mapping]] = ..., begin_transaction: _Optional[_Union[BeginTransaction, _Mapping]] = ..., end_transaction: _Optional[_Union[EndTransaction, _Mapping]] = ..., rewind: _Optional[_Union[Rewind, _Mapping]] = ..., provide_input: _Optional[_Union[ProvideInput, _Mapping]] = ..., read: _Optional[_Union[Read, _Mapping]] = ..., checkpoint: _Optional[_Union[Checkpoint, _Mapping]] = ..., checkpoint_ended: _Optional[_Union[CheckpointEnded, _Mapping]] = ..., restore: _Optional[_Union[Restore, _Mapping]] = ..., export_variable: _Optional[_Union[ExportVariable, _Mapping]] = ..., import_variable: _Optional[_Union[ImportVariable, _Mapping]] = ...) -> None: ...

class FromRunner(_message.Message):
    __slots__ = ("hello", "events", "background", "reply", "interpreter_replaced", "transaction_changed", "file_reply", "file_chunk")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    INTERPRETER_REPLACED_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_CHANGED_FIELD_NUMBER: _ClassVar[int]
    FILE_REPLY_FIELD_NUMBER: _ClassVar[int]
    FILE_CHUNK_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    events: Events
    background: Background
    reply: Reply
    interpreter_replaced: InterpreterReplaced
    transaction_changed: TransactionChanged
    file_reply: FileReply
    file_chunk: FileChunk
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., events: _Optional[_Union[Events, _Mapping]] = ..., background: _Optional[_Union[Background, _Mapping]] = ..., reply: _Optional[_Union[Reply, _Mapping]] = ..., interpreter_replaced: _Optional[_Union[InterpreterReplaced, _Mapping]] = ..., transaction_changed: _Optional[_Union[TransactionChanged, _Mapping]] = ..., file_reply: _Optional[_Union[FileReply, _Mapping]] = ..., file_chunk: _Optional[_Union[FileChunk, _Mapping]] = ...) -> None: ...

class Open(_message.Message):
    __slots__ = ("protocol_version", "purpose", "token")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    purpose: Purpose
    token: str
    def __init__(self, protocol_version: _Optional[int] = ..., purpose: _Optional[_Union[Purpose, str]] = ..., token: _Optional[str] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol_version", "sandbox_id", "boot_id", "session_id", "python_version", "execution_count", "missing_walls", "operations", "background_sequence", "figures", "last_replaced", "replacements", "transactions")
    class FiguresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PYTHON_VERSION_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    MISSING_WALLS_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    LAST_REPLACED_FIELD_NUMBER: _ClassVar[int]
    REPLACEMENTS_FIELD_NUMBER: _ClassVar[int]
    TRANSACTIONS_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    sandbox_id: str
    boot_id: str
    session_id: str
    python_version: str
    execution_count: int
    missing_walls: _containers.RepeatedScalarFieldContainer[str]
    operations: _containers.RepeatedCompositeFieldContainer[OperationSummary]
    background_sequence: int
    figures: _containers.ScalarMap[str, int]
    last_replaced: InterpreterReplaced
    replacements: _containers.RepeatedCompositeFieldContainer[InterpreterReplaced]
    transactions: _containers.RepeatedCompositeFieldContainer[TransactionChanged]
    def __init__(self, protocol_version: _Optional[int] = ..., sandbox_id: _Optional[str] = ..., boot_id: _Optional[str] = ..., session_id: _Optional[str] = ..., python_version: _Optional[str] = ..., execution_count: _Optional[int] = ..., missing_walls: _Optional[_Iterable[str]] = ..., operations: _Optional[_Iterable[_Union[OperationSummary, _Mapping]]] = ..., background_sequence: _Optional[int] = ..., figures: _Optional[_Mapping[str, int]] = ..., last_replaced: _Optional[_Union[InterpreterReplaced, _Mapping]] = ..., replacements: _Optional[_Iterable[_Union[InterpreterReplaced, _Mapping]]] = ..., transactions: _Optional[_Iterable[_Union[TransactionChanged, _Mapping]]] = ...) -> None: ...

class OperationSummary(_message.Message):
    __slots__ = ("operation_id", "finished", "last_sequence", "first_kept_sequence", "effects_lost", "outcome")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    FIRST_KEPT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EFFECTS_LOST_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    finished: bool
    last_sequence: int
    first_kept_sequence: int
    effects_lost: bool
    outcome: int
    def __init__(self, operation_id: _Optional[str] = ..., finished: _Optional[bool] = ..., last_sequence: _Optional[int] = ..., first_kept_sequence: _Optional[int] = ..., effects_lost: _Optional[bool] = ..., outcome: _Optional[int] = ...) -> None: ...

class Assign(_message.Message):
    __slots__ = ("session_id", "env", "secret_env", "journal_bytes", "journal_operations", "queue_limit", "interrupt_grace", "snapshots_disabled", "snapshot_history", "quiet_time", "workspace_copy_bytes", "change_count", "preview_chars", "recompute")
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
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    SECRET_ENV_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    INTERRUPT_GRACE_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOTS_DISABLED_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_HISTORY_FIELD_NUMBER: _ClassVar[int]
    QUIET_TIME_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_COPY_BYTES_FIELD_NUMBER: _ClassVar[int]
    CHANGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_CHARS_FIELD_NUMBER: _ClassVar[int]
    RECOMPUTE_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    env: _containers.ScalarMap[str, str]
    secret_env: _containers.ScalarMap[str, str]
    journal_bytes: int
    journal_operations: int
    queue_limit: int
    interrupt_grace: _duration_pb2.Duration
    snapshots_disabled: bool
    snapshot_history: int
    quiet_time: _duration_pb2.Duration
    workspace_copy_bytes: int
    change_count: int
    preview_chars: int
    recompute: bool
    def __init__(self, session_id: _Optional[str] = ..., env: _Optional[_Mapping[str, str]] = ..., secret_env: _Optional[_Mapping[str, str]] = ..., journal_bytes: _Optional[int] = ..., journal_operations: _Optional[int] = ..., queue_limit: _Optional[int] = ..., interrupt_grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., snapshots_disabled: _Optional[bool] = ..., snapshot_history: _Optional[int] = ..., quiet_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., workspace_copy_bytes: _Optional[int] = ..., change_count: _Optional[int] = ..., preview_chars: _Optional[int] = ..., recompute: _Optional[bool] = ...) -> None: ...

class Submit(_message.Message):
    __slots__ = ("operation_id", "code", "timeout", "max_output_bytes", "create_time", "traceparent", "tx_policy", "isolation", "transaction_id", "begin", "include_files", "allow_input", "report_changes")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    TX_POLICY_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FILES_FIELD_NUMBER: _ClassVar[int]
    ALLOW_INPUT_FIELD_NUMBER: _ClassVar[int]
    REPORT_CHANGES_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    code: str
    timeout: _duration_pb2.Duration
    max_output_bytes: int
    create_time: _timestamp_pb2.Timestamp
    traceparent: str
    tx_policy: int
    isolation: int
    transaction_id: str
    begin: BeginTransaction
    include_files: bool
    allow_input: bool
    report_changes: bool
    def __init__(self, operation_id: _Optional[str] = ..., code: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_output_bytes: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., traceparent: _Optional[str] = ..., tx_policy: _Optional[int] = ..., isolation: _Optional[int] = ..., transaction_id: _Optional[str] = ..., begin: _Optional[_Union[BeginTransaction, _Mapping]] = ..., include_files: _Optional[bool] = ..., allow_input: _Optional[bool] = ..., report_changes: _Optional[bool] = ...) -> None: ...

class BeginTransaction(_message.Message):
    __slots__ = ("transaction_id", "idle_timeout", "include_files")
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FILES_FIELD_NUMBER: _ClassVar[int]
    transaction_id: str
    idle_timeout: _duration_pb2.Duration
    include_files: bool
    def __init__(self, transaction_id: _Optional[str] = ..., idle_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., include_files: _Optional[bool] = ...) -> None: ...

class EndTransaction(_message.Message):
    __slots__ = ("transaction_id", "commit")
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    transaction_id: str
    commit: bool
    def __init__(self, transaction_id: _Optional[str] = ..., commit: _Optional[bool] = ...) -> None: ...

class Rewind(_message.Message):
    __slots__ = ("operation_id",)
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    def __init__(self, operation_id: _Optional[str] = ...) -> None: ...

class ProvideInput(_message.Message):
    __slots__ = ("operation_id", "input_id", "text", "end_of_file")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    END_OF_FILE_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    input_id: str
    text: str
    end_of_file: bool
    def __init__(self, operation_id: _Optional[str] = ..., input_id: _Optional[str] = ..., text: _Optional[str] = ..., end_of_file: _Optional[bool] = ...) -> None: ...

class Read(_message.Message):
    __slots__ = ("transaction_id", "timeout", "list", "get", "complete", "inspect")
    class Complete(_message.Message):
        __slots__ = ("code", "cursor_position")
        CODE_FIELD_NUMBER: _ClassVar[int]
        CURSOR_POSITION_FIELD_NUMBER: _ClassVar[int]
        code: str
        cursor_position: int
        def __init__(self, code: _Optional[str] = ..., cursor_position: _Optional[int] = ...) -> None: ...
    class Inspect(_message.Message):
        __slots__ = ("code", "cursor_position", "detail_level")
        CODE_FIELD_NUMBER: _ClassVar[int]
        CURSOR_POSITION_FIELD_NUMBER: _ClassVar[int]
        DETAIL_LEVEL_FIELD_NUMBER: _ClassVar[int]
        code: str
        cursor_position: int
        detail_level: int
        def __init__(self, code: _Optional[str] = ..., cursor_position: _Optional[int] = ..., detail_level: _Optional[int] = ...) -> None: ...
    class ListVariables(_message.Message):
        __slots__ = ("name_prefix", "include_private", "after_name", "limit")
        NAME_PREFIX_FIELD_NUMBER: _ClassVar[int]
        INCLUDE_PRIVATE_FIELD_NUMBER: _ClassVar[int]
        AFTER_NAME_FIELD_NUMBER: _ClassVar[int]
        LIMIT_FIELD_NUMBER: _ClassVar[int]
        name_prefix: str
        include_private: bool
        after_name: str
        limit: int
        def __init__(self, name_prefix: _Optional[str] = ..., include_private: _Optional[bool] = ..., after_name: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...
    class GetVariable(_message.Message):
        __slots__ = ("name", "format", "max_bytes")
        NAME_FIELD_NUMBER: _ClassVar[int]
        FORMAT_FIELD_NUMBER: _ClassVar[int]
        MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
        name: str
        format: int
        max_bytes: int
        def __init__(self, name: _Optional[str] = ..., format: _Optional[int] = ..., max_bytes: _Optional[int] = ...) -> None: ...
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    LIST_FIELD_NUMBER: _ClassVar[int]
    GET_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    INSPECT_FIELD_NUMBER: _ClassVar[int]
    transaction_id: str
    timeout: _duration_pb2.Duration
    list: Read.ListVariables
    get: Read.GetVariable
    complete: Read.Complete
    inspect: Read.Inspect
    def __init__(self, transaction_id: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., list: _Optional[_Union[Read.ListVariables, _Mapping]] = ..., get: _Optional[_Union[Read.GetVariable, _Mapping]] = ..., complete: _Optional[_Union[Read.Complete, _Mapping]] = ..., inspect: _Optional[_Union[Read.Inspect, _Mapping]] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("operation_id",)
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    def __init__(self, operation_id: _Optional[str] = ...) -> None: ...

class Fetch(_message.Message):
    __slots__ = ("operation_id", "after_sequence", "max_bytes")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    after_sequence: int
    max_bytes: int
    def __init__(self, operation_id: _Optional[str] = ..., after_sequence: _Optional[int] = ..., max_bytes: _Optional[int] = ...) -> None: ...

class GetOperation(_message.Message):
    __slots__ = ("operation_id",)
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    def __init__(self, operation_id: _Optional[str] = ...) -> None: ...

class Reset(_message.Message):
    __slots__ = ("keep_files",)
    KEEP_FILES_FIELD_NUMBER: _ClassVar[int]
    keep_files: bool
    def __init__(self, keep_files: _Optional[bool] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Shutdown(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Events(_message.Message):
    __slots__ = ("operation_id", "first_sequence", "events", "finished")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    first_sequence: int
    events: _containers.RepeatedScalarFieldContainer[bytes]
    finished: bool
    def __init__(self, operation_id: _Optional[str] = ..., first_sequence: _Optional[int] = ..., events: _Optional[_Iterable[bytes]] = ..., finished: _Optional[bool] = ...) -> None: ...

class Background(_message.Message):
    __slots__ = ("stream", "data", "dropped_bytes", "sequence")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    DROPPED_BYTES_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    stream: int
    data: bytes
    dropped_bytes: int
    sequence: int
    def __init__(self, stream: _Optional[int] = ..., data: _Optional[bytes] = ..., dropped_bytes: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...

class InterpreterReplaced(_message.Message):
    __slots__ = ("operation_id", "reason", "state_lost", "number", "restored_operation_id", "lost_operation_ids", "rewound", "restored_state", "newest_state")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STATE_LOST_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RESTORED_OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    LOST_OPERATION_IDS_FIELD_NUMBER: _ClassVar[int]
    REWOUND_FIELD_NUMBER: _ClassVar[int]
    RESTORED_STATE_FIELD_NUMBER: _ClassVar[int]
    NEWEST_STATE_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    reason: str
    state_lost: bool
    number: int
    restored_operation_id: str
    lost_operation_ids: _containers.RepeatedScalarFieldContainer[str]
    rewound: bool
    restored_state: int
    newest_state: int
    def __init__(self, operation_id: _Optional[str] = ..., reason: _Optional[str] = ..., state_lost: _Optional[bool] = ..., number: _Optional[int] = ..., restored_operation_id: _Optional[str] = ..., lost_operation_ids: _Optional[_Iterable[str]] = ..., rewound: _Optional[bool] = ..., restored_state: _Optional[int] = ..., newest_state: _Optional[int] = ...) -> None: ...

class TransactionChanged(_message.Message):
    __slots__ = ("transaction", "reason", "number")
    TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    transaction: bytes
    reason: str
    number: int
    def __init__(self, transaction: _Optional[bytes] = ..., reason: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("request_id", "failure", "page", "operation", "pong", "transaction", "read", "state")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    failure: Failure
    page: Page
    operation: bytes
    pong: Pong
    transaction: bytes
    read: ReadResult
    state: StateResult
    def __init__(self, request_id: _Optional[int] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., page: _Optional[_Union[Page, _Mapping]] = ..., operation: _Optional[bytes] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., transaction: _Optional[bytes] = ..., read: _Optional[_Union[ReadResult, _Mapping]] = ..., state: _Optional[_Union[StateResult, _Mapping]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("reason", "message", "names")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ...) -> None: ...

class Checkpoint(_message.Message):
    __slots__ = ("token", "checkpoint_id", "timeout", "patience")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    token: str
    checkpoint_id: str
    timeout: _duration_pb2.Duration
    patience: _duration_pb2.Duration
    def __init__(self, token: _Optional[str] = ..., checkpoint_id: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., patience: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CheckpointEnded(_message.Message):
    __slots__ = ("checkpoint_id", "durable")
    CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    DURABLE_FIELD_NUMBER: _ClassVar[int]
    checkpoint_id: str
    durable: bool
    def __init__(self, checkpoint_id: _Optional[str] = ..., durable: _Optional[bool] = ...) -> None: ...

class Restore(_message.Message):
    __slots__ = ("token", "timeout", "operation_id", "execution_count", "dry_run")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    token: str
    timeout: _duration_pb2.Duration
    operation_id: str
    execution_count: int
    dry_run: bool
    def __init__(self, token: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., operation_id: _Optional[str] = ..., execution_count: _Optional[int] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class ExportVariable(_message.Message):
    __slots__ = ("token", "transaction_id", "name", "format", "max_bytes", "timeout")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    token: str
    transaction_id: str
    name: str
    format: int
    max_bytes: int
    timeout: _duration_pb2.Duration
    def __init__(self, token: _Optional[str] = ..., transaction_id: _Optional[str] = ..., name: _Optional[str] = ..., format: _Optional[int] = ..., max_bytes: _Optional[int] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ImportVariable(_message.Message):
    __slots__ = ("token", "transaction_id", "name", "format", "arrow_as", "timeout")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    ARROW_AS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    token: str
    transaction_id: str
    name: str
    format: str
    arrow_as: int
    timeout: _duration_pb2.Duration
    def __init__(self, token: _Optional[str] = ..., transaction_id: _Optional[str] = ..., name: _Optional[str] = ..., format: _Optional[str] = ..., arrow_as: _Optional[int] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class StateResult(_message.Message):
    __slots__ = ("change", "as_of_operation_id", "execution_count", "stale", "state")
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    AS_OF_OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    change: bytes
    as_of_operation_id: str
    execution_count: int
    stale: bool
    state: int
    def __init__(self, change: _Optional[bytes] = ..., as_of_operation_id: _Optional[str] = ..., execution_count: _Optional[int] = ..., stale: _Optional[bool] = ..., state: _Optional[int] = ...) -> None: ...

class ReadResult(_message.Message):
    __slots__ = ("variables", "more", "data", "mime_type", "as_of_operation_id", "stale", "response")
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    MIME_TYPE_FIELD_NUMBER: _ClassVar[int]
    AS_OF_OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    variables: _containers.RepeatedScalarFieldContainer[bytes]
    more: bool
    data: bytes
    mime_type: str
    as_of_operation_id: str
    stale: bool
    response: bytes
    def __init__(self, variables: _Optional[_Iterable[bytes]] = ..., more: _Optional[bool] = ..., data: _Optional[bytes] = ..., mime_type: _Optional[str] = ..., as_of_operation_id: _Optional[str] = ..., stale: _Optional[bool] = ..., response: _Optional[bytes] = ...) -> None: ...

class Page(_message.Message):
    __slots__ = ("first_sequence", "events", "finished", "first_kept_sequence")
    FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    FIRST_KEPT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    first_sequence: int
    events: _containers.RepeatedScalarFieldContainer[bytes]
    finished: bool
    first_kept_sequence: int
    def __init__(self, first_sequence: _Optional[int] = ..., events: _Optional[_Iterable[bytes]] = ..., finished: _Optional[bool] = ..., first_kept_sequence: _Optional[int] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ("memory_bytes", "process_count", "queued_count")
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROCESS_COUNT_FIELD_NUMBER: _ClassVar[int]
    QUEUED_COUNT_FIELD_NUMBER: _ClassVar[int]
    memory_bytes: int
    process_count: int
    queued_count: int
    def __init__(self, memory_bytes: _Optional[int] = ..., process_count: _Optional[int] = ..., queued_count: _Optional[int] = ...) -> None: ...

class FileRequest(_message.Message):
    __slots__ = ("upload", "download", "stat", "list", "delete", "make_directory")
    class Upload(_message.Message):
        __slots__ = ("path", "mode", "size_bytes", "sha256")
        PATH_FIELD_NUMBER: _ClassVar[int]
        MODE_FIELD_NUMBER: _ClassVar[int]
        SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
        SHA256_FIELD_NUMBER: _ClassVar[int]
        path: str
        mode: int
        size_bytes: int
        sha256: str
        def __init__(self, path: _Optional[str] = ..., mode: _Optional[int] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...
    class Download(_message.Message):
        __slots__ = ("path", "offset_bytes", "length_bytes")
        PATH_FIELD_NUMBER: _ClassVar[int]
        OFFSET_BYTES_FIELD_NUMBER: _ClassVar[int]
        LENGTH_BYTES_FIELD_NUMBER: _ClassVar[int]
        path: str
        offset_bytes: int
        length_bytes: int
        def __init__(self, path: _Optional[str] = ..., offset_bytes: _Optional[int] = ..., length_bytes: _Optional[int] = ...) -> None: ...
    class Stat(_message.Message):
        __slots__ = ("path", "with_sha256")
        PATH_FIELD_NUMBER: _ClassVar[int]
        WITH_SHA256_FIELD_NUMBER: _ClassVar[int]
        path: str
        with_sha256: bool
        def __init__(self, path: _Optional[str] = ..., with_sha256: _Optional[bool] = ...) -> None: ...
    class List(_message.Message):
        __slots__ = ("path", "recursive", "after_path", "limit")
        PATH_FIELD_NUMBER: _ClassVar[int]
        RECURSIVE_FIELD_NUMBER: _ClassVar[int]
        AFTER_PATH_FIELD_NUMBER: _ClassVar[int]
        LIMIT_FIELD_NUMBER: _ClassVar[int]
        path: str
        recursive: bool
        after_path: str
        limit: int
        def __init__(self, path: _Optional[str] = ..., recursive: _Optional[bool] = ..., after_path: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...
    class Delete(_message.Message):
        __slots__ = ("path", "recursive")
        PATH_FIELD_NUMBER: _ClassVar[int]
        RECURSIVE_FIELD_NUMBER: _ClassVar[int]
        path: str
        recursive: bool
        def __init__(self, path: _Optional[str] = ..., recursive: _Optional[bool] = ...) -> None: ...
    class MakeDirectory(_message.Message):
        __slots__ = ("path",)
        PATH_FIELD_NUMBER: _ClassVar[int]
        path: str
        def __init__(self, path: _Optional[str] = ...) -> None: ...
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    DOWNLOAD_FIELD_NUMBER: _ClassVar[int]
    STAT_FIELD_NUMBER: _ClassVar[int]
    LIST_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    MAKE_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    upload: FileRequest.Upload
    download: FileRequest.Download
    stat: FileRequest.Stat
    list: FileRequest.List
    delete: FileRequest.Delete
    make_directory: FileRequest.MakeDirectory
    def __init__(self, upload: _Optional[_Union[FileRequest.Upload, _Mapping]] = ..., download: _Optional[_Union[FileRequest.Download, _Mapping]] = ..., stat: _Optional[_Union[FileRequest.Stat, _Mapping]] = ..., list: _Optional[_Union[FileRequest.List, _Mapping]] = ..., delete: _Optional[_Union[FileRequest.Delete, _Mapping]] = ..., make_directory: _Optional[_Union[FileRequest.MakeDirectory, _Mapping]] = ...) -> None: ...

class FileChunk(_message.Message):
    __slots__ = ("data", "last")
    DATA_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    last: bool
    def __init__(self, data: _Optional[bytes] = ..., last: _Optional[bool] = ...) -> None: ...

class FileReply(_message.Message):
    __slots__ = ("failure", "info", "list", "more")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    LIST_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    failure: Failure
    info: FileEntry
    list: _containers.RepeatedCompositeFieldContainer[FileEntry]
    more: bool
    def __init__(self, failure: _Optional[_Union[Failure, _Mapping]] = ..., info: _Optional[_Union[FileEntry, _Mapping]] = ..., list: _Optional[_Iterable[_Union[FileEntry, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class FileEntry(_message.Message):
    __slots__ = ("path", "is_directory", "size_bytes", "mode", "modify_time", "sha256")
    PATH_FIELD_NUMBER: _ClassVar[int]
    IS_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    MODIFY_TIME_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    path: str
    is_directory: bool
    size_bytes: int
    mode: int
    modify_time: _timestamp_pb2.Timestamp
    sha256: str
    def __init__(self, path: _Optional[str] = ..., is_directory: _Optional[bool] = ..., size_bytes: _Optional[int] = ..., mode: _Optional[int] = ..., modify_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sha256: _Optional[str] = ...) -> None: ...
