"""What cannot be saved, or only as something hollow that looks like it; and why, in words for people."""

from __future__ import annotations

import _thread
import ctypes
import io
import mmap
import sys
import types
import weakref
from typing import Any, Final

from sandbank_runner.interpreter.reading.kinds import contents_of, identity, mro_of, type_name
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.text import sendable

seal(globals())

_MESSAGE_CHARACTERS = 300
_type_module: Any = type.__dict__["__module__"].__get__
_type_name_of: Any = type.__dict__["__name__"].__get__
_arguments_of: Any = BaseException.__dict__["args"].__get__


class Unsavable(Exception):
    """A value, or something in it, cannot be saved; the text says what."""


_reasons: dict[Any, str] = {
    types.GeneratorType: "a generator",
    types.CoroutineType: "a coroutine",
    types.AsyncGeneratorType: "an asynchronous generator",
    types.FrameType: "a frame",
    types.TracebackType: "a traceback",
    weakref.ProxyType: "a weak proxy",
    weakref.CallableProxyType: "a weak proxy",
    mmap.mmap: "a memory map",
    type(_thread.allocate_lock()): "a lock",
    _thread.RLock: "a lock",
    vars(_thread)["_local"]: "thread-local data",
    type(iter({})): "an iterator over a dictionary",
    type(iter({}.values())): "an iterator over a dictionary",
    type(iter({}.items())): "an iterator over a dictionary",
    type(reversed({})): "an iterator over a dictionary",
    type(reversed({}.values())): "an iterator over a dictionary",
    type(reversed({}.items())): "an iterator over a dictionary",
    type(iter(set())): "an iterator over a set",
    io.TextIOWrapper: "an open file",
    io.BufferedReader: "an open file",
    io.BufferedWriter: "an open file",
    io.BufferedRandom: "an open file",
    io.BufferedRWPair: "an open file",
    io.FileIO: "an open file",
}
REASONS: Final = {identity(kind): reason for kind, reason in _reasons.items()}
"""Of builtin types, by identity: some have a pickle, but what comes back is something else."""

_BASES: Final[tuple[tuple[str, str, str], ...]] = (
    ("_socket", "socket", "a socket"),
    ("socket", "socket", "a socket"),
    ("_ssl", "_SSLSocket", "a TLS connection"),
    ("sqlite3", "Connection", "a database connection"),
    ("sqlite3", "Cursor", "a database cursor"),
    ("_contextvars", "ContextVar", "a context variable"),
    ("_contextvars", "Context", "a context"),
    ("_contextvars", "Token", "a context variable's token"),
    ("threading", "Thread", "a thread"),
    ("threading", "Condition", "a lock"),
    ("threading", "Event", "a thread's event, which holds a lock"),
    ("subprocess", "Popen", "a child process"),
    ("multiprocessing.process", "BaseProcess", "a child process"),
    ("multiprocessing.shared_memory", "SharedMemory", "shared memory"),
    ("multiprocessing.managers", "BaseProxy", "a proxy of another process's object"),
    ("multiprocessing.pool", "Pool", "a pool of processes"),
    ("concurrent.futures._base", "Executor", "a pool of threads or processes"),
    ("concurrent.futures._base", "Future", "a future"),
    ("asyncio.events", "AbstractEventLoop", "an event loop"),
    ("_asyncio", "Future", "a future"),
    ("select", "epoll", "an epoll instance"),
    ("selectors", "BaseSelector", "a selector"),
    ("ctypes", "CDLL", "a loaded library"),
    ("logging", "Handler", "a log handler"),
    ("tempfile", "_TemporaryFileWrapper", "an open file"),
    ("tempfile", "TemporaryDirectory", "a temporary directory"),
    ("zipfile", "ZipFile", "an open archive"),
    ("tarfile", "TarFile", "an open archive"),
    ("shelve", "Shelf", "an open database"),
    ("weakref", "finalize", "a finalizer"),
)
"""Classes whose instances, subclasses' too, stand for something that is not in the process's memory alone."""


def hollow_bases() -> dict[int, str]:
    """Return the reasons of those classes that are there, by identity."""
    found = {}
    for module, name, reason in _BASES:
        kind = vars(sys.modules[module]).get(name) if module in sys.modules else None
        if isinstance(kind, type):
            found[identity(kind)] = reason
    found[identity(vars(ctypes)["_Pointer"])] = "a pointer"
    return found


def reason_of(kind: Any, bases: dict[int, str]) -> str | None:
    """Return why no instance of ``kind`` can be saved, None where one may be."""
    for ancestor in mro_of(kind):
        key = identity(ancestor)
        reason = REASONS.get(key) or bases.get(key)
        if reason is not None:
            return reason if ancestor is kind else f"{reason} ({_type_name_of(kind)})"
    return None


def has_own_pickle(kind: Any, bases: dict[int, str]) -> bool:
    """Tell whether a subclass says itself how it is pickled, and so knows what it is about."""
    for ancestor in mro_of(kind):
        if identity(ancestor) in REASONS or identity(ancestor) in bases:
            return False
        for name in ("__reduce__", "__reduce_ex__", "__getstate__"):
            if type(contents_of(ancestor).get(name)) is types.FunctionType:
                return True
    return False


def brief(error: BaseException) -> str:
    """Return an error's type, and its message where that takes no code of the user's."""
    if type(error) is Unsavable:
        return sendable(str(error))[:_MESSAGE_CHARACTERS]
    if type(error) is RecursionError:
        return "nested too deeply"
    if type(error) is MemoryError:
        return "too much memory is needed to save it"
    text = ", ".join(argument for argument in _arguments_of(error) if type(argument) is str)
    name = type_name(error)
    return sendable(f"{name}: {text}" if text else name)[:_MESSAGE_CHARACTERS]
