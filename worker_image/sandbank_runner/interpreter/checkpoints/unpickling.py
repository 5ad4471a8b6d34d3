"""The unpickler of checkpoints: one group, whose buffers come from the connection while it is at work."""

from __future__ import annotations

import _pickle
import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

from sandbank_runner.interpreter.checkpoints import rebuild
from sandbank_runner.interpreter.checkpoints.anchors import MAIN
from sandbank_runner.interpreter.checkpoints.frames import CHUNK_BYTES, Connection
from sandbank_runner.interpreter.namespace import Namespace
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_OWN_MODULE: Final = rebuild.__name__
_import = importlib.import_module


class MissingPackage(Exception):
    """A module cannot be imported that the state needs; the text is its name."""


class Reader:
    """A group's pickles, as an unpickler wants to read them."""

    __slots__ = ("_view", "at")

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self.at = 0

    def read(self, count: int = -1) -> bytes:
        """Return the next bytes."""
        end = len(self._view) if count < 0 else self.at + count
        data = bytes(self._view[self.at : end])
        self.at += len(data)
        return data

    def readinto(self, into: Any) -> int:
        """Fill a buffer."""
        view = memoryview(into).cast("B")
        data = self._view[self.at : self.at + len(view)]
        view[: len(data)] = data
        self.at += len(data)
        return len(data)

    def readline(self) -> bytes:
        """Return the next line: no protocol of ours has any."""
        raise EOFError


class Buffers:
    """A group's buffers, in the order of use."""

    def __init__(self, connection: Connection, buffers: list[list[Any]]) -> None:
        self._connection = connection
        self._buffers = buffers
        self.at = 0

    def __iter__(self) -> Iterator[bytearray]:
        """Return itself: a library's pickle takes the next one whole."""
        return self

    def __next__(self) -> bytearray:
        """Return the next buffer."""
        data = bytearray(sum(length for _, length in self._buffers[self.at]))
        self.fill(memoryview(data))
        return data

    def filler(self) -> Callable[[memoryview], None]:
        """Return what fills memory with the next buffer, in place."""
        return self.fill

    def fill(self, view: memoryview) -> None:
        """Take the next buffer from the connection."""
        chunks = self._buffers[self.at]
        self.at += 1
        if len(view) != sum(length for _, length in chunks):
            raise ValueError("a buffer has another length than what it is for")
        take(self._connection, chunks, view)

    def skip_to(self, number: int) -> None:
        """Let all buffers before that one pass by."""
        while self.at < number:
            rest = memoryview(bytearray(CHUNK_BYTES))
            for _, length in self._buffers[self.at]:
                self._connection.take_into(rest[:length])
            self.at += 1


def take(connection: Connection, chunks: list[Any], view: memoryview) -> None:
    """Fill ``view`` with chunks from the connection."""
    at = 0
    for _, length in chunks:
        connection.take_into(view[at : at + length])
        at += length


class Unpickler(_pickle.Unpickler):
    """Unpickles into a namespace."""

    def __init__(self, reader: Reader, buffers: Buffers, namespace: Namespace) -> None:
        super().__init__(reader, buffers=buffers)
        self._namespace = namespace
        self._own: dict[str, Any] = {
            **rebuild.ALLOWED,
            "place": self._place,
            "definition": self._definition,
            "imported": imported,
            "main_module": self._main_module,
            "next_buffer": buffers.filler,
        }

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle names."""
        if module == _OWN_MODULE:
            return self._own[name]
        imported(module)
        return super().find_class(module, name)

    def persistent_load(self, place: Any) -> Any:
        """Return a container that every process has."""
        return self._place(*place)

    def _place(self, module: str, name: str) -> Any:
        if module == MAIN and not name:
            return self._namespace.names
        found: Any = imported(module)
        if not name:
            return vars(found)
        for part in name.split("."):
            found = getattr(found, part)
        return found

    def _definition(self, name: str) -> Any:
        return self._namespace.names[name]

    def _main_module(self) -> Any:
        return self._namespace.module


def imported(name: str) -> Any:
    """Return a module. :class:`MissingPackage`."""
    found = sys.modules.get(name)
    if found is not None:
        return found
    try:
        return _import(name)
    except ModuleNotFoundError as error:
        raise MissingPackage(error.name or name) from None
