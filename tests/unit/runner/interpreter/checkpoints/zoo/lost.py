"""What cannot be saved: code that binds it to ``v``, and a part of the reason."""

from __future__ import annotations

LOST: dict[str, tuple[str, str]] = {
    "generator": (
        "v = (i for i in 'abc'); next(v)",
        "generator",
    ),
    "generator-deep-inside": (
        "v = {'a': [1, (i for i in 'abc')]}",
        "generator",
    ),
    "coroutine": (
        ("async def c(): ...\nv = c()"),
        "coroutine",
    ),
    "async-generator": (
        ("async def c(): yield\nv = c()"),
        "asynchronous generator",
    ),
    "socket": (
        ("import socket\nv = socket.socket()"),
        "socket",
    ),
    "lock": (
        ("import threading\nv = threading.Lock()"),
        "lock",
    ),
    "locked-lock": (
        ("import threading\nv = threading.RLock(); v.acquire()"),
        "lock",
    ),
    "event": (
        ("import threading\nv = threading.Event()"),
        "lock",
    ),
    "queue": (
        ("import queue\nv = queue.Queue(); v.put(1)"),
        "lock",
    ),
    "thread": (
        ("import threading\nv = threading.Thread(target=print); v.start(); v.join()"),
        "thread",
    ),
    "thread-local": (
        ("import threading\nv = threading.local(); v.x = 1"),
        "thread-local",
    ),
    "file": (
        "v = open('f', 'w'); v.write('x')",
        "open file",
    ),
    "binary-file": (
        "open('f', 'w').close(); v = open('f', 'rb')",
        "open file",
    ),
    "raw-file": (
        "open('f', 'w').close(); v = open('f', 'rb', 0)",
        "open file",
    ),
    "file-in-an-object": (
        ("class K: ...\nv = K(); v.f = open('/dev/null')"),
        "open file",
    ),
    "temporary-file": (
        ("import tempfile\nv = tempfile.NamedTemporaryFile()"),
        "open file",
    ),
    "temporary-directory": (
        ("import tempfile\nv = tempfile.TemporaryDirectory()"),
        "temporary directory",
    ),
    "database": (
        ("import sqlite3\nv = sqlite3.connect(':memory:')"),
        "database",
    ),
    "cursor": (
        ("import sqlite3\nv = sqlite3.connect(':memory:').cursor()"),
        "database",
    ),
    "dead-weak-reference": (
        ("import weakref\nclass K: ...\nv = weakref.ref(K())"),
        "dead weak reference",
    ),
    "weak-reference-with-callback": (
        ("import weakref\nclass K: ...\nk = K(); v = weakref.ref(k, print)"),
        "callback",
    ),
    "weak-proxy": (
        ("import weakref\nclass K: ...\nk = K(); v = weakref.proxy(k)"),
        "weak proxy",
    ),
    "finalizer": (
        ("import weakref\nclass K: ...\nk = K(); v = weakref.finalize(k, print)"),
        "finalizer",
    ),
    "dictionary-iterator": (
        "d = {1: 2}; v = iter(d)",
        "iterator over a dictionary",
    ),
    "items-iterator": (
        "v = iter({1: 2}.items())",
        "iterator over a dictionary",
    ),
    "set-iterator": (
        "v = iter({1})",
        "iterator over a set",
    ),
    "map-of-a-generator": (
        "v = map(str, (i for i in 'ab'))",
        "generator",
    ),
    "match": (
        ("import re\nv = re.match('a', 'a')"),
        "Match",
    ),
    "frame": (
        ("import sys\nv = sys._getframe()"),
        "frame",
    ),
    "traceback": (
        ("import sys\ntry: 1/0\nexcept Exception: v = sys.exc_info()[2]"),
        "traceback",
    ),
    "memory-map": (
        ("import mmap\nv = mmap.mmap(-1, 10)"),
        "memory map",
    ),
    "view-of-a-memory-map": (
        ("import mmap\nv = memoryview(mmap.mmap(-1, 10))"),
        "view of memory",
    ),
    "released-view": (
        "v = memoryview(b'x'); v.release()",
        "released",
    ),
    "context-variable": (
        ("import contextvars\nv = contextvars.ContextVar('v')"),
        "context variable",
    ),
    "event-loop": (
        ("import asyncio\nv = asyncio.new_event_loop(); v.close()"),
        "event loop",
    ),
    "executor": (
        ("import concurrent.futures as f\nv = f.ThreadPoolExecutor(1)"),
        "pool",
    ),
    "child-process": (
        ("import subprocess\nv = subprocess.Popen('true'); v.wait()"),
        "child process",
    ),
    "shared-memory": (
        (
            "from multiprocessing import shared_memory, resource_tracker\n"
            "v = shared_memory.SharedMemory(create=True, size=10); v.unlink()"
        ),
        "shared memory",
    ),
    "pointer": (
        ("import ctypes\nv = ctypes.pointer(ctypes.c_int(1))"),
        "pointer",
    ),
    "library": (
        ("import ctypes\nv = ctypes.CDLL(None)"),
        "loaded library",
    ),
    "logger-with-handlers": (
        ("import logging\nv = logging.getLogger('x'); v.addHandler(logging.NullHandler())"),
        "handlers",
    ),
    "log-handler": (
        ("import logging\nv = logging.NullHandler()"),
        "log handler",
    ),
    "function-around-a-generator": (
        ("def make():\n    g = (i for i in 'ab')\n    return lambda: next(g)\nv = make()"),
        "generator",
    ),
    "class-with-a-lock": (
        ("import threading\nclass v:\n    lock = threading.Lock()"),
        "lock",
    ),
    "scandir": (
        ("import os\nv = os.scandir('.')"),
        "ScandirIterator",
    ),
    "reduce-that-raises": (
        ("class K:\n    def __reduce__(self): raise ValueError('no way')\nv = K()"),
        "no way",
    ),
    "reduce-of-nonsense": (
        ("class K:\n    def __reduce__(self): return 5\nv = K()"),
        "Pickl",
    ),
    "getstate-that-exits": (
        ("class K:\n    def __getstate__(self): raise SystemExit\nv = K()"),
        "SystemExit",
    ),
    "instance-of-a-lost-class": (
        ("import threading\nclass K:\n    lock = threading.Lock()\nv = [K()] * 100"),
        "it needs K",
    ),
}
