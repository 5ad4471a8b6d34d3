import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from sandbank.v1 import transaction_pb2 as _transaction_pb2
from sandbank.v1 import variable_pb2 as _variable_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OutputStream(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTPUT_STREAM_UNSPECIFIED: _ClassVar[OutputStream]
    OUTPUT_STREAM_STDOUT: _ClassVar[OutputStream]
    OUTPUT_STREAM_STDERR: _ClassVar[OutputStream]

class FileChangeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILE_CHANGE_KIND_UNSPECIFIED: _ClassVar[FileChangeKind]
    FILE_CHANGE_KIND_ADDED: _ClassVar[FileChangeKind]
    FILE_CHANGE_KIND_MODIFIED: _ClassVar[FileChangeKind]
    FILE_CHANGE_KIND_REMOVED: _ClassVar[FileChangeKind]
    FILE_CHANGE_KIND_MODE_CHANGED: _ClassVar[FileChangeKind]
OUTPUT_STREAM_UNSPECIFIED: OutputStream
OUTPUT_STREAM_STDOUT: OutputStream
OUTPUT_STREAM_STDERR: OutputStream
FILE_CHANGE_KIND_UNSPECIFIED: FileChangeKind
FILE_CHANGE_KIND_ADDED: FileChangeKind
FILE_CHANGE_KIND_MODIFIED: FileChangeKind
FILE_CHANGE_KIND_REMOVED: FileChangeKind
FILE_CHANGE_KIND_MODE_CHANGED: FileChangeKind

class Warning(_message.Message):
    __slots__ = ("code", "message", "names")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("session_id", "operation_id", "state", "outcome", "tx_policy", "isolation", "transaction_id", "create_time", "start_time", "end_time", "execution_count", "result", "error", "changes", "changes_truncated", "files_changed", "usage", "output_bytes", "dropped_output_bytes", "warnings", "conflicting_names", "durable_checkpoint_id", "files_changed_truncated")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Operation.State]
        STATE_PENDING: _ClassVar[Operation.State]
        STATE_RUNNING: _ClassVar[Operation.State]
        STATE_WAITING_FOR_INPUT: _ClassVar[Operation.State]
        STATE_SUCCEEDED: _ClassVar[Operation.State]
        STATE_FAILED: _ClassVar[Operation.State]
        STATE_CANCELLED: _ClassVar[Operation.State]
        STATE_TIMED_OUT: _ClassVar[Operation.State]
        STATE_CRASHED: _ClassVar[Operation.State]
    STATE_UNSPECIFIED: Operation.State
    STATE_PENDING: Operation.State
    STATE_RUNNING: Operation.State
    STATE_WAITING_FOR_INPUT: Operation.State
    STATE_SUCCEEDED: Operation.State
    STATE_FAILED: Operation.State
    STATE_CANCELLED: Operation.State
    STATE_TIMED_OUT: Operation.State
    STATE_CRASHED: Operation.State
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[Operation.Outcome]
        OUTCOME_NOT_STARTED: _ClassVar[Operation.Outcome]
        OUTCOME_COMMITTED: _ClassVar[Operation.Outcome]
        OUTCOME_PARTIAL: _ClassVar[Operation.Outcome]
        OUTCOME_ROLLED_BACK: _ClassVar[Operation.Outcome]
        OUTCOME_PENDING: _ClassVar[Operation.Outcome]
        OUTCOME_LOST: _ClassVar[Operation.Outcome]
        OUTCOME_UNKNOWN: _ClassVar[Operation.Outcome]
    OUTCOME_UNSPECIFIED: Operation.Outcome
    OUTCOME_NOT_STARTED: Operation.Outcome
    OUTCOME_COMMITTED: Operation.Outcome
    OUTCOME_PARTIAL: Operation.Outcome
    OUTCOME_ROLLED_BACK: Operation.Outcome
    OUTCOME_PENDING: Operation.Outcome
    OUTCOME_LOST: Operation.Outcome
    OUTCOME_UNKNOWN: Operation.Outcome
    class ResultEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    TX_POLICY_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_COUNT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    CHANGES_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    FILES_CHANGED_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    DROPPED_OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    CONFLICTING_NAMES_FIELD_NUMBER: _ClassVar[int]
    DURABLE_CHECKPOINT_ID_FIELD_NUMBER: _ClassVar[int]
    FILES_CHANGED_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    operation_id: str
    state: Operation.State
    outcome: Operation.Outcome
    tx_policy: _transaction_pb2.TxPolicy
    isolation: _transaction_pb2.Isolation
    transaction_id: str
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    execution_count: int
    result: _containers.ScalarMap[str, bytes]
    error: ExecutionError
    changes: _containers.RepeatedCompositeFieldContainer[_variable_pb2.VariableChange]
    changes_truncated: bool
    files_changed: _containers.RepeatedCompositeFieldContainer[FileChange]
    usage: Usage
    output_bytes: int
    dropped_output_bytes: int
    warnings: _containers.RepeatedCompositeFieldContainer[Warning]
    conflicting_names: _containers.RepeatedScalarFieldContainer[str]
    durable_checkpoint_id: str
    files_changed_truncated: bool
    def __init__(self, session_id: _Optional[str] = ..., operation_id: _Optional[str] = ..., state: _Optional[_Union[Operation.State, str]] = ..., outcome: _Optional[_Union[Operation.Outcome, str]] = ..., tx_policy: _Optional[_Union[_transaction_pb2.TxPolicy, str]] = ..., isolation: _Optional[_Union[_transaction_pb2.Isolation, str]] = ..., transaction_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., execution_count: _Optional[int] = ..., result: _Optional[_Mapping[str, bytes]] = ..., error: _Optional[_Union[ExecutionError, _Mapping]] = ..., changes: _Optional[_Iterable[_Union[_variable_pb2.VariableChange, _Mapping]]] = ..., changes_truncated: _Optional[bool] = ..., files_changed: _Optional[_Iterable[_Union[FileChange, _Mapping]]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., output_bytes: _Optional[int] = ..., dropped_output_bytes: _Optional[int] = ..., warnings: _Optional[_Iterable[_Union[Warning, _Mapping]]] = ..., conflicting_names: _Optional[_Iterable[str]] = ..., durable_checkpoint_id: _Optional[str] = ..., files_changed_truncated: _Optional[bool] = ...) -> None: ...

class FileChange(_message.Message):
    __slots__ = ("path", "kind")
    PATH_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    path: str
    kind: FileChangeKind
    def __init__(self, path: _Optional[str] = ..., kind: _Optional[_Union[FileChangeKind, str]] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("wall_time", "cpu_time", "peak_memory_bytes")
    WALL_TIME_FIELD_NUMBER: _ClassVar[int]
    CPU_TIME_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    wall_time: _duration_pb2.Duration
    cpu_time: _duration_pb2.Duration
    peak_memory_bytes: int
    def __init__(self, wall_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cpu_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., peak_memory_bytes: _Optional[int] = ...) -> None: ...

class ExecutionError(_message.Message):
    __slots__ = ("type_name", "message", "traceback_text", "frames", "syntax_error")
    TYPE_NAME_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TRACEBACK_TEXT_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    SYNTAX_ERROR_FIELD_NUMBER: _ClassVar[int]
    type_name: str
    message: str
    traceback_text: str
    frames: _containers.RepeatedCompositeFieldContainer[Frame]
    syntax_error: SyntaxErrorDetail
    def __init__(self, type_name: _Optional[str] = ..., message: _Optional[str] = ..., traceback_text: _Optional[str] = ..., frames: _Optional[_Iterable[_Union[Frame, _Mapping]]] = ..., syntax_error: _Optional[_Union[SyntaxErrorDetail, _Mapping]] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("file_name", "line_number", "function_name", "source_line")
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    LINE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_LINE_FIELD_NUMBER: _ClassVar[int]
    file_name: str
    line_number: int
    function_name: str
    source_line: str
    def __init__(self, file_name: _Optional[str] = ..., line_number: _Optional[int] = ..., function_name: _Optional[str] = ..., source_line: _Optional[str] = ...) -> None: ...

class SyntaxErrorDetail(_message.Message):
    __slots__ = ("line", "column", "end_line", "end_column", "text")
    LINE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    END_LINE_FIELD_NUMBER: _ClassVar[int]
    END_COLUMN_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    line: int
    column: int
    end_line: int
    end_column: int
    text: str
    def __init__(self, line: _Optional[int] = ..., column: _Optional[int] = ..., end_line: _Optional[int] = ..., end_column: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class OperationEvent(_message.Message):
    __slots__ = ("session_id", "operation_id", "sequence", "time", "started", "output", "display", "input_request", "finished", "rejected")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_FIELD_NUMBER: _ClassVar[int]
    INPUT_REQUEST_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    operation_id: str
    sequence: int
    time: _timestamp_pb2.Timestamp
    started: Started
    output: Output
    display: Display
    input_request: InputRequest
    finished: Finished
    rejected: Rejected
    def __init__(self, session_id: _Optional[str] = ..., operation_id: _Optional[str] = ..., sequence: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started: _Optional[_Union[Started, _Mapping]] = ..., output: _Optional[_Union[Output, _Mapping]] = ..., display: _Optional[_Union[Display, _Mapping]] = ..., input_request: _Optional[_Union[InputRequest, _Mapping]] = ..., finished: _Optional[_Union[Finished, _Mapping]] = ..., rejected: _Optional[_Union[Rejected, _Mapping]] = ...) -> None: ...

class Started(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Output(_message.Message):
    __slots__ = ("stream", "data", "unattributed")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    UNATTRIBUTED_FIELD_NUMBER: _ClassVar[int]
    stream: OutputStream
    data: bytes
    unattributed: bool
    def __init__(self, stream: _Optional[_Union[OutputStream, str]] = ..., data: _Optional[bytes] = ..., unattributed: _Optional[bool] = ...) -> None: ...

class Display(_message.Message):
    __slots__ = ("data", "metadata", "display_id", "update")
    class DataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DATA_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_ID_FIELD_NUMBER: _ClassVar[int]
    UPDATE_FIELD_NUMBER: _ClassVar[int]
    data: _containers.ScalarMap[str, bytes]
    metadata: _containers.ScalarMap[str, str]
    display_id: str
    update: bool
    def __init__(self, data: _Optional[_Mapping[str, bytes]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., display_id: _Optional[str] = ..., update: _Optional[bool] = ...) -> None: ...

class InputRequest(_message.Message):
    __slots__ = ("input_id", "prompt", "password")
    INPUT_ID_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    input_id: str
    prompt: str
    password: bool
    def __init__(self, input_id: _Optional[str] = ..., prompt: _Optional[str] = ..., password: _Optional[bool] = ...) -> None: ...

class Finished(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: Operation
    def __init__(self, operation: _Optional[_Union[Operation, _Mapping]] = ...) -> None: ...

class Rejected(_message.Message):
    __slots__ = ("code", "message", "reason", "metadata", "retry_delay", "request_index")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_INDEX_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    reason: str
    metadata: _containers.ScalarMap[str, str]
    retry_delay: _duration_pb2.Duration
    request_index: int
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., reason: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., retry_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., request_index: _Optional[int] = ...) -> None: ...

class ExecuteRequest(_message.Message):
    __slots__ = ("session_id", "operation_id", "code", "tx_policy", "isolation", "transaction_id", "timeout", "report_changes", "allow_input", "include_files", "max_output_bytes", "cancel_on_disconnect")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TX_POLICY_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    REPORT_CHANGES_FIELD_NUMBER: _ClassVar[int]
    ALLOW_INPUT_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FILES_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    CANCEL_ON_DISCONNECT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    operation_id: str
    code: str
    tx_policy: _transaction_pb2.TxPolicy
    isolation: _transaction_pb2.Isolation
    transaction_id: str
    timeout: _duration_pb2.Duration
    report_changes: bool
    allow_input: bool
    include_files: bool
    max_output_bytes: int
    cancel_on_disconnect: bool
    def __init__(self, session_id: _Optional[str] = ..., operation_id: _Optional[str] = ..., code: _Optional[str] = ..., tx_policy: _Optional[_Union[_transaction_pb2.TxPolicy, str]] = ..., isolation: _Optional[_Union[_transaction_pb2.Isolation, str]] = ..., transaction_id: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., report_changes: _Optional[bool] = ..., allow_input: _Optional[bool] = ..., include_files: _Optional[bool] = ..., max_output_bytes: _Optional[int] = ..., cancel_on_disconnect: _Optional[bool] = ...) -> None: ...

class RunRequest(_message.Message):
    __slots__ = ("execute",)
    EXECUTE_FIELD_NUMBER: _ClassVar[int]
    execute: ExecuteRequest
    def __init__(self, execute: _Optional[_Union[ExecuteRequest, _Mapping]] = ...) -> None: ...

class RunResponse(_message.Message):
    __slots__ = ("operation", "stdout", "stderr", "displays", "dropped_bytes")
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    DISPLAYS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_BYTES_FIELD_NUMBER: _ClassVar[int]
    operation: Operation
    stdout: bytes
    stderr: bytes
    displays: _containers.RepeatedCompositeFieldContainer[Display]
    dropped_bytes: int
    def __init__(self, operation: _Optional[_Union[Operation, _Mapping]] = ..., stdout: _Optional[bytes] = ..., stderr: _Optional[bytes] = ..., displays: _Optional[_Iterable[_Union[Display, _Mapping]]] = ..., dropped_bytes: _Optional[int] = ...) -> None: ...

class InteractRequest(_message.Message):
    __slots__ = ("execute", "input", "cancel")
    EXECUTE_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    execute: ExecuteRequest
    input: ProvideInputRequest
    cancel: CancelOperationRequest
    def __init__(self, execute: _Optional[_Union[ExecuteRequest, _Mapping]] = ..., input: _Optional[_Union[ProvideInputRequest, _Mapping]] = ..., cancel: _Optional[_Union[CancelOperationRequest, _Mapping]] = ...) -> None: ...

class WatchOperationRequest(_message.Message):
    __slots__ = ("session_id", "operation_id", "after_sequence")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    operation_id: str
    after_sequence: int
    def __init__(self, session_id: _Optional[str] = ..., operation_id: _Optional[str] = ..., after_sequence: _Optional[int] = ...) -> None: ...

class GetOperationRequest(_message.Message):
    __slots__ = ("session_id", "operation_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    operation_id: str
    def __init__(self, session_id: _Optional[str] = ..., operation_id: _Optional[str] = ...) -> None: ...

class GetOperationResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: Operation
    def __init__(self, operation: _Optional[_Union[Operation, _Mapping]] = ...) -> None: ...

class ListOperationsRequest(_message.Message):
    __slots__ = ("session_id", "page_size", "page_token")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    page_size: int
    page_token: str
    def __init__(self, session_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListOperationsResponse(_message.Message):
    __slots__ = ("operations", "next_page_token")
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    operations: _containers.RepeatedCompositeFieldContainer[Operation]
    next_page_token: str
    def __init__(self, operations: _Optional[_Iterable[_Union[Operation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CancelOperationRequest(_message.Message):
    __slots__ = ("session_id", "operation_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    operation_id: str
    def __init__(self, session_id: _Optional[str] = ..., operation_id: _Optional[str] = ...) -> None: ...

class CancelOperationResponse(_message.Message):
    __slots__ = ("operation",)
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    operation: Operation
    def __init__(self, operation: _Optional[_Union[Operation, _Mapping]] = ...) -> None: ...

class ProvideInputRequest(_message.Message):
    __slots__ = ("session_id", "operation_id", "input_id", "text", "end_of_file")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    END_OF_FILE_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    operation_id: str
    input_id: str
    text: str
    end_of_file: bool
    def __init__(self, session_id: _Optional[str] = ..., operation_id: _Optional[str] = ..., input_id: _Optional[str] = ..., text: _Optional[str] = ..., end_of_file: _Optional[bool] = ...) -> None: ...

class ProvideInputResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BeginTransactionRequest(_message.Message):
    __slots__ = ("session_id", "idle_timeout", "include_files")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FILES_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    idle_timeout: _duration_pb2.Duration
    include_files: bool
    def __init__(self, session_id: _Optional[str] = ..., idle_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., include_files: _Optional[bool] = ...) -> None: ...

class BeginTransactionResponse(_message.Message):
    __slots__ = ("transaction",)
    TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    transaction: _transaction_pb2.Transaction
    def __init__(self, transaction: _Optional[_Union[_transaction_pb2.Transaction, _Mapping]] = ...) -> None: ...

class CommitTransactionRequest(_message.Message):
    __slots__ = ("session_id", "transaction_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    transaction_id: str
    def __init__(self, session_id: _Optional[str] = ..., transaction_id: _Optional[str] = ...) -> None: ...

class CommitTransactionResponse(_message.Message):
    __slots__ = ("transaction",)
    TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    transaction: _transaction_pb2.Transaction
    def __init__(self, transaction: _Optional[_Union[_transaction_pb2.Transaction, _Mapping]] = ...) -> None: ...

class RollbackTransactionRequest(_message.Message):
    __slots__ = ("session_id", "transaction_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    transaction_id: str
    def __init__(self, session_id: _Optional[str] = ..., transaction_id: _Optional[str] = ...) -> None: ...

class RollbackTransactionResponse(_message.Message):
    __slots__ = ("transaction",)
    TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    transaction: _transaction_pb2.Transaction
    def __init__(self, transaction: _Optional[_Union[_transaction_pb2.Transaction, _Mapping]] = ...) -> None: ...
