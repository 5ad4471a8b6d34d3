from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Variable(_message.Message):
    __slots__ = ("name", "type_name", "size_bytes", "serializable", "unserializable_reason", "preview", "shape", "dtype", "length")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SERIALIZABLE_FIELD_NUMBER: _ClassVar[int]
    UNSERIALIZABLE_REASON_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    name: str
    type_name: str
    size_bytes: int
    serializable: bool
    unserializable_reason: str
    preview: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    dtype: str
    length: int
    def __init__(self, name: _Optional[str] = ..., type_name: _Optional[str] = ..., size_bytes: _Optional[int] = ..., serializable: _Optional[bool] = ..., unserializable_reason: _Optional[str] = ..., preview: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., dtype: _Optional[str] = ..., length: _Optional[int] = ...) -> None: ...

class VariableChange(_message.Message):
    __slots__ = ("name", "kind", "type_name", "size_bytes", "serializable", "preview", "previous_type_name", "detail")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[VariableChange.Kind]
        KIND_ADDED: _ClassVar[VariableChange.Kind]
        KIND_MODIFIED: _ClassVar[VariableChange.Kind]
        KIND_REMOVED: _ClassVar[VariableChange.Kind]
    KIND_UNSPECIFIED: VariableChange.Kind
    KIND_ADDED: VariableChange.Kind
    KIND_MODIFIED: VariableChange.Kind
    KIND_REMOVED: VariableChange.Kind
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TYPE_NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SERIALIZABLE_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_TYPE_NAME_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: VariableChange.Kind
    type_name: str
    size_bytes: int
    serializable: bool
    preview: str
    previous_type_name: str
    detail: str
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[VariableChange.Kind, str]] = ..., type_name: _Optional[str] = ..., size_bytes: _Optional[int] = ..., serializable: _Optional[bool] = ..., preview: _Optional[str] = ..., previous_type_name: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class AsOf(_message.Message):
    __slots__ = ("operation_id", "stale")
    OPERATION_ID_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    operation_id: str
    stale: bool
    def __init__(self, operation_id: _Optional[str] = ..., stale: _Optional[bool] = ...) -> None: ...
