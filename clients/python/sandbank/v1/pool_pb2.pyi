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

class PoolState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POOL_STATE_UNSPECIFIED: _ClassVar[PoolState]
    POOL_STATE_HEALTHY: _ClassVar[PoolState]
    POOL_STATE_STARTING: _ClassVar[PoolState]
    POOL_STATE_DEGRADED: _ClassVar[PoolState]
    POOL_STATE_DRAINING: _ClassVar[PoolState]

class SandboxState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SANDBOX_STATE_UNSPECIFIED: _ClassVar[SandboxState]
    SANDBOX_STATE_STARTING: _ClassVar[SandboxState]
    SANDBOX_STATE_READY: _ClassVar[SandboxState]
    SANDBOX_STATE_ASSIGNED: _ClassVar[SandboxState]
    SANDBOX_STATE_RETIRING: _ClassVar[SandboxState]
    SANDBOX_STATE_GONE: _ClassVar[SandboxState]
POOL_STATE_UNSPECIFIED: PoolState
POOL_STATE_HEALTHY: PoolState
POOL_STATE_STARTING: PoolState
POOL_STATE_DEGRADED: PoolState
POOL_STATE_DRAINING: PoolState
SANDBOX_STATE_UNSPECIFIED: SandboxState
SANDBOX_STATE_STARTING: SandboxState
SANDBOX_STATE_READY: SandboxState
SANDBOX_STATE_ASSIGNED: SandboxState
SANDBOX_STATE_RETIRING: SandboxState
SANDBOX_STATE_GONE: SandboxState

class Pool(_message.Message):
    __slots__ = ("template", "state", "degraded_reason", "min_ready", "max_total", "starting_count", "ready_count", "assigned_count", "retiring_count", "waiting_count", "started_count", "failed_count", "start_time_p50")
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_REASON_FIELD_NUMBER: _ClassVar[int]
    MIN_READY_FIELD_NUMBER: _ClassVar[int]
    MAX_TOTAL_FIELD_NUMBER: _ClassVar[int]
    STARTING_COUNT_FIELD_NUMBER: _ClassVar[int]
    READY_COUNT_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_COUNT_FIELD_NUMBER: _ClassVar[int]
    RETIRING_COUNT_FIELD_NUMBER: _ClassVar[int]
    WAITING_COUNT_FIELD_NUMBER: _ClassVar[int]
    STARTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILED_COUNT_FIELD_NUMBER: _ClassVar[int]
    START_TIME_P50_FIELD_NUMBER: _ClassVar[int]
    template: str
    state: PoolState
    degraded_reason: str
    min_ready: int
    max_total: int
    starting_count: int
    ready_count: int
    assigned_count: int
    retiring_count: int
    waiting_count: int
    started_count: int
    failed_count: int
    start_time_p50: _duration_pb2.Duration
    def __init__(self, template: _Optional[str] = ..., state: _Optional[_Union[PoolState, str]] = ..., degraded_reason: _Optional[str] = ..., min_ready: _Optional[int] = ..., max_total: _Optional[int] = ..., starting_count: _Optional[int] = ..., ready_count: _Optional[int] = ..., assigned_count: _Optional[int] = ..., retiring_count: _Optional[int] = ..., waiting_count: _Optional[int] = ..., started_count: _Optional[int] = ..., failed_count: _Optional[int] = ..., start_time_p50: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Sandbox(_message.Message):
    __slots__ = ("sandbox_id", "template", "state", "session_id", "create_time", "reason", "memory_bytes")
    SANDBOX_ID_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    sandbox_id: str
    template: str
    state: SandboxState
    session_id: str
    create_time: _timestamp_pb2.Timestamp
    reason: str
    memory_bytes: int
    def __init__(self, sandbox_id: _Optional[str] = ..., template: _Optional[str] = ..., state: _Optional[_Union[SandboxState, str]] = ..., session_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., memory_bytes: _Optional[int] = ...) -> None: ...

class PoolEvent(_message.Message):
    __slots__ = ("time", "pool", "sandbox", "message")
    TIME_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    pool: Pool
    sandbox: Sandbox
    message: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., pool: _Optional[_Union[Pool, _Mapping]] = ..., sandbox: _Optional[_Union[Sandbox, _Mapping]] = ..., message: _Optional[str] = ...) -> None: ...

class GetPoolRequest(_message.Message):
    __slots__ = ("template",)
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    template: str
    def __init__(self, template: _Optional[str] = ...) -> None: ...

class GetPoolResponse(_message.Message):
    __slots__ = ("pool",)
    POOL_FIELD_NUMBER: _ClassVar[int]
    pool: Pool
    def __init__(self, pool: _Optional[_Union[Pool, _Mapping]] = ...) -> None: ...

class ListPoolsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPoolsResponse(_message.Message):
    __slots__ = ("pools",)
    POOLS_FIELD_NUMBER: _ClassVar[int]
    pools: _containers.RepeatedCompositeFieldContainer[Pool]
    def __init__(self, pools: _Optional[_Iterable[_Union[Pool, _Mapping]]] = ...) -> None: ...

class ResizePoolRequest(_message.Message):
    __slots__ = ("template", "min_ready", "max_total")
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    MIN_READY_FIELD_NUMBER: _ClassVar[int]
    MAX_TOTAL_FIELD_NUMBER: _ClassVar[int]
    template: str
    min_ready: int
    max_total: int
    def __init__(self, template: _Optional[str] = ..., min_ready: _Optional[int] = ..., max_total: _Optional[int] = ...) -> None: ...

class ResizePoolResponse(_message.Message):
    __slots__ = ("pool",)
    POOL_FIELD_NUMBER: _ClassVar[int]
    pool: Pool
    def __init__(self, pool: _Optional[_Union[Pool, _Mapping]] = ...) -> None: ...

class ListSandboxesRequest(_message.Message):
    __slots__ = ("template", "page_size", "page_token")
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    template: str
    page_size: int
    page_token: str
    def __init__(self, template: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSandboxesResponse(_message.Message):
    __slots__ = ("sandboxes", "next_page_token")
    SANDBOXES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sandboxes: _containers.RepeatedCompositeFieldContainer[Sandbox]
    next_page_token: str
    def __init__(self, sandboxes: _Optional[_Iterable[_Union[Sandbox, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchPoolRequest(_message.Message):
    __slots__ = ("template",)
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    template: str
    def __init__(self, template: _Optional[str] = ...) -> None: ...
