"""Standard streams of user code.

``sys.stdout`` and ``sys.stderr`` write to descriptors 1 and 2 line by line and keep nothing longer than a line, so that
they stay in order with what C code and child processes write there. Nothing is buffered across a fork or beyond the end
of an operation. Streams and descriptors that user code closes, replaces or redirects are as they were with the next
operation: copies of the descriptors lie where user code does not look.
"""

from __future__ import annotations

import ctypes
import io
import os
import sys
from fcntl import F_DUPFD_CLOEXEC, fcntl
from typing import Any, Final

from sandbank_runner.interpreter.input.questions import Questions
from sandbank_runner.interpreter.input.stream import Stdin
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.turns import Turns

seal(globals())

_dup2, _write, _set_blocking = os.dup2, os.write, os.set_blocking
_TextIOWrapper = io.TextIOWrapper
_LOWEST_COPY: Final = 251
_LINE_BUFFERED: Final = 1  # _IOLBF of glibc and musl

_libc = ctypes.CDLL(None)
_fflush = _libc.fflush
_fflush.argtypes = [ctypes.c_void_p]


class _Descriptor(io.RawIOBase):
    """Unbuffered bytes to a descriptor, which closing this leaves open."""

    def __init__(self, number: int, name: str, turns: Turns) -> None:
        self._number = number
        self.name = name
        self.mode = "wb"
        self._turns = turns

    def fileno(self) -> int:
        return self._number

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Write all of ``data``, however long the reader takes."""
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        self._turns.take(self._number)
        size = len(data)
        try:
            written = _write(self._number, data)
        except BlockingIOError:
            written = 0
        if written < size:
            written = self._write_rest(memoryview(data).cast("B"), written)
        return written

    def _write_rest(self, view: memoryview, written: int) -> int:
        while written < len(view):
            try:
                written += _write(self._number, view[written:])
            except BlockingIOError:  # somebody made the pipe non-blocking, for all who have it
                _set_blocking(self._number, True)
        return written


class Output:
    """The streams of one interpreter."""

    def __init__(self, channel: int, questions: Questions) -> None:
        """Take over descriptors 0, 1 and 2; ``channel`` is the supervisor's, whose turn displays are."""
        self._questions = questions
        self.copies = tuple((fcntl(number, F_DUPFD_CLOEXEC, _LOWEST_COPY), number) for number in (0, 1, 2))
        """Where the copy of each descriptor lies."""
        self.turns = Turns(channel, {number: copy for copy, number in self.copies if number})
        self.stdout = self.stderr = self.stdin = _closed()
        for name in ("stdout", "stderr"):
            # C code's line goes out with its end, as it would on a terminal; later is too late.
            _libc.setvbuf(ctypes.c_void_p.in_dll(_libc, name), None, _LINE_BUFFERED, 0)
        self.restore()
        os.register_at_fork(before=self.flush)

    def restore(self) -> None:
        """Make streams and descriptors what they were at first. To be called before each operation.

        Runs user code: the end of an object that is replaced here.
        """
        if getattr(sys, "stdout", None) is not self.stdout or _is_closed(self.stdout):
            self.stdout = sys.stdout = self._renewed(self.stdout, 1)
            sys.__stdout__ = self.stdout  # type: ignore[misc]
        if getattr(sys, "stderr", None) is not self.stderr or _is_closed(self.stderr):
            self.stderr = sys.stderr = self._renewed(self.stderr, 2)
            sys.__stderr__ = self.stderr  # type: ignore[misc]
        if getattr(sys, "stdin", None) is not self.stdin or _is_closed(self.stdin):
            self.stdin = sys.stdin = Stdin(self._questions)
            sys.__stdin__ = self.stdin  # type: ignore[misc]
        for copy, number in self.copies:  # last: an object that was replaced may have closed them
            try:  # noqa: SIM105 - contextlib looks builtins up that user code may have changed
                _dup2(copy, number)
            except OSError:
                pass  # user code closed the copy: what it made of the descriptor stays

    def finish(self) -> None:
        """Write out all that user code has written. Runs user code: streams that it has put in the place of ours."""
        for stream in (getattr(sys, "stdout", None), getattr(sys, "stderr", None)):
            if stream is not self.stdout and stream is not self.stderr:
                try:  # noqa: SIM105
                    stream.flush()  # type: ignore[union-attr]
                except Exception:  # noqa: S110
                    pass  # it may be anything, also None
        self.flush()

    def flush(self) -> None:
        """Write out what our streams and C code still hold."""
        for stream in (self.stdout, self.stderr):
            try:  # noqa: SIM105
                _TextIOWrapper.flush(stream)
            except Exception:  # noqa: S110
                pass  # closed, or its descriptor is: nothing left to write to
        _fflush(None)

    def _renewed(self, stream: io.TextIOWrapper, number: int) -> io.TextIOWrapper:
        if not _is_closed(stream):
            return stream
        name = "<stdout>" if number == 1 else "<stderr>"
        return _writer(_Descriptor(number, name, self.turns))


def _writer(descriptor: _Descriptor) -> io.TextIOWrapper:
    stream = _TextIOWrapper(
        descriptor,  # a raw stream will do: TextIOWrapper is the buffer
        encoding="utf-8",
        errors="backslashreplace",
        newline="\n",
        line_buffering=True,
    )
    stream.mode = "w"  # type: ignore[misc]
    return stream


def _closed() -> io.TextIOWrapper:
    stream = _TextIOWrapper(io.BytesIO())
    stream.close()
    return stream


def _is_closed(stream: io.TextIOWrapper) -> bool:
    try:
        return stream.closed
    except ValueError:  # detached
        return True
