"""NumPy's arrays and views of memory: content out of band, and shared memory still shared after a restore."""

from __future__ import annotations

import array
import ctypes
import mmap
from collections.abc import Callable
from typing import Any, Final

from sandbank_runner.interpreter.checkpoints import rebuild
from sandbank_runner.interpreter.checkpoints.edges import is_strided
from sandbank_runner.interpreter.checkpoints.steps import Step
from sandbank_runner.interpreter.checkpoints.unsavable import Unsavable
from sandbank_runner.interpreter.reading.kinds import contents_of, derives, genuine, identity, mro_of
from sandbank_runner.interpreter.sealed import seal

seal(globals())

SMALL_BYTES: Final = 4096
"""Arrays below are pickled in band: a buffer of its own costs a chunk."""


class _Buffer(ctypes.Structure):
    """``Py_buffer``, of which only the address is read."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


_get_buffer: Any = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = [ctypes.py_object, ctypes.POINTER(_Buffer), ctypes.c_int]
_release: Any = ctypes.pythonapi.PyBuffer_Release
_release.argtypes = [ctypes.POINTER(_Buffer)]
_release.restype = None
_new_buffer, _by_reference = _Buffer, ctypes.byref
_STRIDED_READ_ONLY: Final = 0x011C  # PyBUF_FULL_RO


def address_of(value: Any) -> int:
    """Return where the first item of a buffer lies. BufferError, TypeError."""
    buffer = _new_buffer()
    _get_buffer(value, _by_reference(buffer), _STRIDED_READ_ONLY)
    address = int(buffer.buf or 0)
    _release(_by_reference(buffer))
    return address


class Arrays:
    """Reduces arrays and views of one pickle. ``looked_at`` says how many objects look at which memory."""

    def __init__(self, looked_at: dict[int, int], add_buffer: Callable[[memoryview], None]) -> None:
        self._looked_at = looked_at
        self._add_buffer = add_buffer
        self._stand_ins: dict[int, Any] = {}
        """Plain arrays of the whole memory that an array of another class owns, by the identity of that one."""

    def reduce_view(self, view: memoryview) -> Any:
        """Reduce a view of memory, which must be in one piece."""
        try:
            owner = view.obj
        except ValueError:
            raise Unsavable("a released memoryview cannot be saved") from None
        if type(owner) not in _VIEWED and not derives(type(owner), genuine("numpy", "ndarray") or bytearray):
            raise Unsavable("a view of memory that is not a bytes, bytearray or array cannot be saved")
        if not view.c_contiguous:
            raise Unsavable("a memoryview with gaps cannot be saved")
        offset = address_of(view) - address_of(owner)
        return rebuild.make_view, (owner, offset, view.nbytes, view.format, view.shape, view.readonly)

    def reduce_array(self, value: Any) -> Any:
        """Reduce an array of NumPy's own class."""
        kind = value.dtype
        writable = bool(value.flags.writeable)
        base = value.base
        if base is not None and self._stand_ins.get(identity(base)) is not value:
            owner = _owner_of(base)
            if type(owner) is mmap.mmap:
                raise Unsavable("a view of a memory map cannot be saved")
            if kind.hasobject:
                return NotImplemented
            owner = self._stand_in(owner)
            if self._looked_at.get(identity(_owner_of(owner)), 0) > 1 and _can_be_shared(owner):
                offset = address_of(value) - address_of(owner)
                return rebuild.make_array_view, (owner, kind, value.shape, value.strides, offset, writable)
        if kind.hasobject:
            return NotImplemented
        flags = value.flags
        order = "F" if flags.f_contiguous and not flags.c_contiguous else "C"
        if value.nbytes < SMALL_BYTES:
            return rebuild.make_array, (value.shape, kind, order, value.tobytes("A"), writable)
        import numpy

        whole: Any = value if flags.c_contiguous or flags.f_contiguous else numpy.ascontiguousarray(value)
        flat = whole.reshape(-1, order="A").view(numpy.uint8)
        self._add_buffer(memoryview(flat))
        return rebuild.make_array, (value.shape, kind, order, Step(rebuild.next_buffer), writable)

    def reduce_array_of_class(self, value: Any) -> Any:
        """Reduce an array of a class that extends NumPy's: what it shows, and its attributes."""
        plain = self._stand_in(value) if value.base is None else _view(value)
        state = getattr(value, "__dict__", None)
        return (
            rebuild.make_array_of_class, (plain, type(value)), dict(state or {}), None, None,
            rebuild.fill_array_of_class,
        )  # fmt: skip

    def _stand_in(self, owner: Any) -> Any:
        """Return a plain array in the place of one of another class that owns its memory; others as they are."""
        if type(owner) is genuine("numpy", "ndarray") or not derives(
            type(owner), genuine("numpy", "ndarray")
        ):
            return owner
        return self._stand_ins.setdefault(identity(owner), _view(owner))


def _view(value: Any) -> Any:
    kind: Any = genuine("numpy", "ndarray")
    return kind.view(value, kind)


def is_array_of_class(kind: Any) -> bool:
    """Tell whether a class extends NumPy's arrays and leaves to them how it is pickled, or is one of NumPy's own."""
    array = genuine("numpy", "ndarray")
    if (
        array is None
        or not derives(kind, array)
        or kind in (array, genuine("numpy.ma.core", "MaskedConstant"))
    ):
        return False
    for ancestor in mro_of(kind):
        if ancestor is array:
            break
        module = type.__dict__["__module__"].__get__(ancestor)
        if not str(module).startswith("numpy.") and any(name in contents_of(ancestor) for name in _PICKLING):
            return False
    return True


_PICKLING: Final = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__")
_VIEWED: Final = (bytes, bytearray, array.array, memoryview)


def _owner_of(base: Any) -> Any:
    kind = genuine("numpy", "ndarray")
    while True:
        if derives(type(base), kind) and kind.base.__get__(base) is not None:
            base = kind.base.__get__(base)
        elif type(base) is memoryview:
            base = base.obj
        elif is_strided(base):
            base = base.base
        else:
            return base


def _can_be_shared(owner: Any) -> bool:
    kind = genuine("numpy", "ndarray")
    if type(owner) is kind:
        return not owner.dtype.hasobject and bool(owner.flags.c_contiguous or owner.flags.f_contiguous)
    return type(owner) in (bytearray, array.array)
