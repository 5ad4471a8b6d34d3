"""What lends its memory, and memory that others may write to."""

from __future__ import annotations

from typing import Final

_A: Final = "from array import array\n"
_V: Final = "b = bytearray(b'abcd'); v = memoryview(b)\n"
_CT: Final = "import ctypes\n"
_MM: Final = "import mmap\nx = mmap.mmap(-1, 8192)\n"
_FILE: Final = (
    "import mmap\nfile = open('mapped', 'w+b'); file.truncate(8192); x = mmap.mmap(file.fileno(), 8192); file.close(); "
    "del file\n"
)

FOUND: Final = {
    "a byte": ("x = bytearray(b'abc')", "x[1] = 0", "~x"),
    "a byte of many": ("x = bytearray(1 << 20)", "x[777_777] = 1", "~x"),
    "bytes that are added": ("x = bytearray(b'abc')", "x += b'd'", "~x"),
    "bytes that are cut off before": ("x = bytearray(b'a' * 100_000)", "del x[:10]", "~x"),
    "an attribute of a subclass of bytearray": ("class B(bytearray): pass\nx = B(b'abc')", "x.a = 1", "~x"),
    "a byte of a subclass of bytearray": (
        "class B(bytearray): pass\nx = B(bytes(100_000))", "x[77_777] = 1", "~x"),
    "an array's element": (_A + "x = array('d', [1, 2])", "x[1] = 3", "~x"),
    "an element of a long array": (_A + "x = array('q', bytes(800_000))", "x[77_777] = 3", "~x"),
    "an array's type": (_A + "x = array('i', [1])", "x = array('I', [1])", "~x"),
    "the sign of a zero in an array": (_A + "x = array('d', [0.0])", "x[0] = -0.0", "~x"),
    "an array that grows": (_A + "x = array('b')", "x.append(1)", "~x"),
    "through a view": (_V, "v[1] = 0", "~b ~v"),
    "under a view": (_V, "b[1] = 0", "~b ~v"),
    "through a view of a view": (_V + "w = v[1:]; del v", "w[0] = 0", "~b ~w"),
    "through a view of an array": (_A + "a = array('i', [1, 2]); v = memoryview(a)", "v[0] = 7", "~a ~v"),
    "a view of something else": (_V + "c = bytearray(b'abcd')", "v = memoryview(c)", "~v"),
    "another part in view": ("x = memoryview(b'aaaa')[:2]", "x = memoryview(b'aaaa')[:3]", "~x"),
    "a released view": (_V, "v.release()", "~v"),
    "a view's format": (_V, "v = v.cast('b')", "~v"),
    "a C number": (_CT + "x = ctypes.c_int(1)", "x.value = 2", "~x"),
    "an array in C": (_CT + "x = (ctypes.c_int * 3)()", "x[1] = 2", "~x"),
    "a structure in C": (
        _CT + "class S(ctypes.Structure):\n    _fields_ = [('a', ctypes.c_int)]\nx = S()", "x.a = 2", "~x"),
    "C over a buffer": (_CT + "b = bytearray(4); x = ctypes.c_int.from_buffer(b)", "x.value = 2", "~b ~x"),
    "C through a pointer": (_CT + "x = ctypes.c_int(1); p = ctypes.pointer(x)", "p[0] = 5", "~p ~x"),
    "C behind Python's back": (
        _CT + "x = bytearray(1 << 17)", "ctypes.memset((ctypes.c_char * len(x)).from_buffer(x), 7, 9)", "~x"),
    "a mapping": (_MM, "x[5000] = 1", "~x"),
    "a place in a mapping": (_MM, "x.seek(5)", "~x"),
    "a mapping of a file": (_FILE, "x[5000] = 1", "~x"),
    "the file of a mapping": (
        _FILE, "with open('mapped', 'r+b') as file:\n    file.seek(77); _ = file.write(b'1')\ndel file", "~x"),
    "a mapping that a child writes to": (
        _MM + "import os",
        "if not (pid := os.fork()):\n    x[7] = 1; os._exit(0)\nos.waitpid(pid, 0); del pid", "~x"),
    "a view of a mapping": (_MM + "v = memoryview(x)", "x[5] = 1", "~v ~x"),
    "shared memory": (
        "from multiprocessing.shared_memory import SharedMemory\nx = SharedMemory(create=True, size=100); x.unlink()",
        "x.buf[5] = 1", "~x"),
}  # fmt: skip

NOT_REPORTED: Final = {
    "a byte that is read": ("x = bytearray(b'abc')", "x[1]; bytes(x); len(x)"),
    "a byte that is written again": ("x = bytearray(b'abc')", "x[1] = x[1]"),
    "equal bytes": ("x = bytearray(b'abc')", "x = bytearray(b'abc')"),
    "bytes that came and went": (
        "x = bytearray(b'abc')", "x.extend(bytes(1000)); del x[3:]; x.insert(0, 1); del x[0]"),
    "many bytes that are read": ("x = bytearray(1 << 20)", "sum(x[:100]); x.find(b'1')"),
    "an equal array": (_A + "x = array('d', [1, 2])", "x = array('d', [1, 2]); x.tolist(); x.buffer_info()"),
    "an array that grew and shrank": (_A + "x = array('d', [1])", "x.extend(range(100)); del x[1:]"),
    "a view that is read": (_V, "v[0]; bytes(v); v.tolist(); hash(memoryview(b'a'))"),
    "an equal view": (_V, "v = memoryview(b)"),
    "a view that came and went": ("x = bytearray(b'abc')", "y = memoryview(x); y.release(); del y"),
    "a C number that is read": (_CT + "x = ctypes.c_int(1)", "x.value; bytes(x); x = ctypes.c_int(1)"),
    "a structure in C that is read": (
        _CT + "class S(ctypes.Structure):\n    _fields_ = [('a', ctypes.c_int)]\nx = S()", "x.a; bytes(x)"),
    "a mapping that is read": (_MM, "x[5]; x[:100]; len(x); x.find(b'1')"),
}  # fmt: skip
