"""Regular files: what is buffered is written out before a snapshot, offsets are put back after it."""

from __future__ import annotations

import fcntl
import gc
import io
import os
from collections.abc import Iterable
from typing import Any

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.snapshots.descriptors import OpenFile
from sandbank_runner.walls.system_calls import library_function

seal(globals())

_get_objects = gc.get_objects
_fstat, _lseek = os.fstat, os.lseek
_FileIO, _TextIOWrapper = io.FileIO, io.TextIOWrapper
_BUFFERED: tuple[type[Any], ...] = (io.BufferedWriter, io.BufferedRandom)
_flush_of = {kind: kind.flush for kind in _BUFFERED}
_flush_text = io.TextIOWrapper.flush
_raw_of = {kind: vars(kind)["raw"].__get__ for kind in _BUFFERED}
_buffer_of = vars(io.TextIOWrapper)["buffer"].__get__
_write_raw = io.FileIO.write
_number_of = io.FileIO.fileno
_closed = vars(io.FileIO)["closed"].__get__

_fcntl: Any = library_function("fcntl")
"""By C, for Python's own tells audit hooks."""
_SET_FLAGS = int(fcntl.F_SETFL)
_SETTABLE = os.O_APPEND | os.O_NONBLOCK | os.O_ASYNC


def write_out(files: Iterable[OpenFile]) -> None:
    """Write out what Python's buffers hold for those of ``files`` that are open for writing.

    Only by the base classes' own methods, and only down to a plain file: a user's ``flush`` is user code, and a pipe
    can block.
    """
    numbers = {file.descriptor for file in files}
    for candidate in _get_objects():
        kind = type(candidate)
        try:
            if issubclass(kind, _TextIOWrapper):
                buffer = _buffer_of(candidate)
                if _is_file(buffer, numbers):
                    _flush_text(candidate)
            elif issubclass(kind, _BUFFERED) and _is_file(candidate, numbers):
                _flush_of[_base(kind)](candidate)
        except Exception:  # noqa: S112 - closed, detached, or a full disk: it stays in the buffer
            continue


def seek_back(files: Iterable[OpenFile]) -> None:
    """Put offsets and flags back to what they were at the snapshot."""
    for file in files:
        try:
            status = _fstat(file.descriptor)
            if (status.st_dev, status.st_ino) == (file.device, file.inode):
                _lseek(file.descriptor, file.offset, 0)
                _fcntl(file.descriptor, _SET_FLAGS, file.flags & _SETTABLE)
        except OSError:
            continue


def _is_file(buffered: Any, numbers: set[int]) -> bool:
    """Tell whether a buffer of Python's own writes straight to one of the files."""
    kind = type(buffered)
    if not issubclass(kind, _BUFFERED):
        return False
    raw = _raw_of[_base(kind)](buffered)
    return (
        issubclass(type(raw), _FileIO)
        and type(raw).write is _write_raw
        and not _closed(raw)
        and _number_of(raw) in numbers
    )


def _base(kind: type[Any]) -> type[Any]:
    return _BUFFERED[0] if issubclass(kind, _BUFFERED[0]) else _BUFFERED[1]
