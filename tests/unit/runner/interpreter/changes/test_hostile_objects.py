"""Objects that lie, loop, kill, or have no end: a report takes a bounded time, and the session goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.runner.interpreter.changes.observing import brief, changes, execute, not_compared
from tests.unit.runner.interpreter.harness import Interpreter

_DIE = "import os\ndef die(*_, **__): os.kill(os.getpid(), 9)\n"
_SPIN = "def spin(*_, **__):\n    while True: pass\n"
_RAISE = "def no(*_, **__): raise RuntimeError('nobody asked')\n"
_ALL = (
    "    __eq__ = __ne__ = __lt__ = __hash__ = __repr__ = __str__ = __bool__ = __len__ = __iter__ = __next__ = {0}\n"
    "    __getstate__ = __reduce__ = __reduce_ex__ = __sizeof__ = __copy__ = __deepcopy__ = __getnewargs__ = {0}\n"
    "    __getattr__ = __getattribute__ = __contains__ = __getitem__ = __index__ = __int__ = __float__ = {0}\n"
    "    __call__ = __array__ = __array_interface__ = __buffer__ = __dir__ = __format__ = __add__ = {0}\n"
    "    keys = values = items = pop = get = copy = append = __keys__ = property({0})\n"
)


def _class(body: str, bases: str = "", make: str = "object.__new__(C)") -> str:
    return f"class C({bases}):\n{_ALL.format(body)}c = {make}\n"


_SET = "object.__setattr__(c, 'a', 1)"
CASES = {
    "methods that kill": (_DIE + _class("die"), _SET, "~c"),
    "methods that loop": (_SPIN + _class("spin"), _SET, "~c"),
    "methods that raise": (_RAISE + _class("no"), _SET, "~c"),
    "a list whose methods kill": (_DIE + _class("die", "list", "list.__new__(C)"), "list.append(c, 1)", "~c"),
    "a dict whose methods kill": (
        _DIE + _class("die", "dict", "dict.__new__(C)"), "dict.__setitem__(c, 'a', 1)", "~c"),
    "an OrderedDict whose methods kill": (
        _DIE + "from collections import OrderedDict as O\n" + _class("die", "O", "O.__new__(C)"),
        "O.__setitem__(c, 'a', 1)", "~c"),
    "a set whose methods kill": (_DIE + _class("die", "set", "set.__new__(C)"), "set.add(c, 1)", "~c"),
    "a text whose methods kill": (
        _DIE + _class("die", "str", "str.__new__(C, 'a')"), "c = str.__new__(C, 'b')", "~c"),
    "a number whose methods kill": (_DIE + _class("die", "int", "int.__new__(C, 1)"), "c = int.__new__(C, 2)", "~c"),
    "a float whose methods kill": (
        _DIE + _class("die", "float", "float.__new__(C, 1)"), "c = float.__new__(C, 2)", "~c"),
    "a tuple whose methods kill": (
        _DIE + _class("die", "tuple", "tuple.__new__(C, [[]])"), "tuple.__getitem__(c, 0).append(1)", "~c"),
    "a deque whose methods kill": (
        _DIE + "from collections import deque as Q\n" + _class("die", "Q", "Q.__new__(C)"), "Q.append(c, 1)", "~c"),
    "a date whose methods kill": (
        _DIE + "from datetime import datetime as T\n" + _class("die", "T", "T.__new__(C, 2024, 1, 1)"),
        "c = T.__new__(C, 2024, 1, 2)", "~c"),
    "a Decimal whose methods kill": (
        _DIE + "from decimal import Decimal as D\n" + _class("die", "D", "D.__new__(C, '1')"),
        "c = D.__new__(C, '2')", "~c"),
    "an error whose methods kill": (
        _DIE + _class("die", "Exception", "Exception.__new__(C)"), "Exception.args.__set__(c, (1,))", "~c"),
    "a bytearray whose methods kill": (
        _DIE + _class("die", "bytearray", "bytearray.__new__(C)"), "bytearray.append(c, 1)", "~c"),
    "a stream whose methods kill": (
        _DIE + "import io\n" + _class("die", "io.BytesIO", "io.BytesIO.__new__(C)"), "io.BytesIO.write(c, b'1')", "~c"),
    "a path whose methods kill": (
        _DIE + "import pathlib\nP = type(pathlib.PurePath())\nclass C(P):\n"
         "    __str__ = __hash__ = __eq__ = die\nc = C('a')",
        "c = C('b')", "~c"),
    "a key whose methods kill": (
        _DIE + "class K: pass\nk = K(); d = {k: 1}\nK.__eq__ = K.__hash__ = K.__repr__ = die", "k.a = 1", "~d ~k"),
    "a metaclass whose methods kill": (
        (_DIE + "class M(type):\n    __mro__ = __dict__ = __bases__ = __name__ = property(die)\n"
        "class C(metaclass=M): pass\nc = C()\n"
        "for n in ('__eq__', '__hash__', '__repr__', '__instancecheck__', '__subclasscheck__', '__getattribute__',\n"
        "    '__call__', '__iter__', '__len__', '__bool__', 'mro', '__or__'):\n    setattr(M, n, die)\n"),
        "object.__setattr__(c, 'a', 1)", "~c"),
    "a class that lies": (
        _DIE + "class C:\n    __class__ = property(die); __dict__ = property(die); __doc__ = property(die)\n"
        "    __module__ = property(die); __slots__ = ('a',)\nc = C(); c.a = 1", "c.a = 2", "~c"),
    "a __dict__ that lies": (
        _DIE + "class D(dict):\n    keys = items = values = __iter__ = __getitem__ = __len__ = __contains__ = die\n"
        "class C: pass\nc = C(); c.__dict__ = D()", "dict.__setitem__(c.__dict__, 'a', 1)", "~c"),
    "slots behind other descriptors": (
        _DIE + "class C:\n    __slots__ = ('a', 'b')\nc = C(); c.b = 1\na = C.__dict__['a']\nC.a = property(die)",
        "c.b = 2", "~c"),
    "a descriptor that kills": (
        _DIE + "class D: __get__ = __set__ = die\nclass C: d = D()\nc = C()", "c.a = 1", "~c"),
    "a module that kills": (
        _DIE + "import types\nclass M(types.ModuleType):\n    __getattribute__ = __dir__ = die\nm = M('m')",
        "types.ModuleType.__setattr__(m, 'a', 1)", "~m"),
    "a module with strange names": (
        _DIE + "import types\nclass K: pass\nK.__hash__ = K.__eq__ = None\ndel K.__hash__, K.__eq__\n"
        "m = types.ModuleType('m'); k = K(); m.__dict__[k] = 1; K.__hash__ = K.__eq__ = die",
        "m.a = 1", "~m"),
    "a class with strange names": (
        _DIE + "class K: pass\nk = K()\nC = type('C', (), {k: 1})\nK.__hash__ = K.__eq__ = die", "C.a = 1", "~C"),
    "a function with strange attributes": (
        _DIE + "def f(): pass\nclass S(str): __hash__ = __eq__ = __len__ = die\n"
        "f.__module__ = S('m'); f.__doc__ = S('d')", "f.a = 1", "~f"),
    "a proxy to what kills": (
        _DIE + "import weakref\n" + _class("die") + "p = weakref.proxy(c)", _SET, "~c ~p"),
    "a callback that kills": (
        _DIE + "import weakref\nclass C: pass\nc = C(); r = weakref.ref(c, die)", "c.a = 1", "~c ~r"),
    "builtins that kill": (
        _DIE + "import builtins\nx = [1]\nold = {n: getattr(builtins, n) for n in ('len', 'type', 'sorted', 'zip',"
        " 'list', 'dict', 'isinstance', 'issubclass', 'any', 'all', 'iter', 'map', 'id', 'bytes', 'tuple')}",
        "x.append(2)\nfor n in old: setattr(builtins, n, die)\ndel n\n", "~x"),
    "a generator that kills": (
        _DIE + "def f():\n    try:\n        yield 1\n        yield 2\n    finally: die\ng = f()", "next(g)", "~g"),
    "cycles through everything": (
        ("import types\nclass C: pass\nc = C(); c.l = [c, {'c': c}, (c,), {c}]; c.m = types.MethodType(print, c)\n"
        "c.f = (lambda: c); C.c = c; c.g = (n for n in [c])"), "c.l.append(1)", "~C ~c"),
    "a million levels": ("x = y = []\nfor _ in range(1_000_000): y.append([]); y = y[0]\ndel y", "x.append(1)", "~x"),
    "tuples without end": (
        "y = []; x = (y,)\nfor _ in range(64): x = (x, x)\n", "y.append(1)", "~x ~y"),
    "a range without end": ("x = range(10 ** 30)", "x = range(10 ** 30 + 1)", "~x"),
    "a pointer to nowhere": (
        "import ctypes\nx = [ctypes.c_void_p(1)]", "x.append(1)", "~x"),
    "a thousand names": ("", "for n in range(999): globals()[f'n{n:03}'] = [n]\ndel n",
        " ".join(f"+n{n:03}" for n in range(999))),
}  # fmt: skip

UNDECIDED = {
    "sets without end": (
        "x = frozenset()\nfor _ in range(64): x = frozenset([(x, 1), (x, 2)])\ndel _", "pass", "~x"),
    "two million objects": ("x = [[] for _ in range(2_100_000)]", "x[7].append(1)", "~x"),
    "sets in sets": ("x = frozenset()\nfor _ in range(1000): x = frozenset([x])", "pass", "~x"),
    "functions in functions": (
        "f = compile('1', '', 'eval')\nfor _ in range(60): f = f.replace(co_consts=(f,))", "pass", "~f"),
    "a file that was cut off": (
        ("import mmap\nfile = open('cut', 'w+b'); file.truncate(1 << 20); x = mmap.mmap(file.fileno(), 1 << 20)\n"
        "v = memoryview(x)[5000:]"), "file.truncate(0)", "~v ~x"),
}  # fmt: skip

NUMERIC = {
    "an array of eight terabytes": (
        "import numpy as np\ny = np.zeros(1); x = np.broadcast_to(y, (10 ** 6, 10 ** 6))", "y[0] = 1", "~x ~y"),
    "windows without end": (
        ("import numpy as np\ny = np.zeros(10 ** 5)\n"
        "x = np.lib.stride_tricks.sliding_window_view(y, 5 * 10 ** 4)"), "y[7] = 1", "~x ~y"),
    "objects that kill in an array": (
        _DIE + "import numpy as np\nclass C: pass\nc = C(); x = np.array([c, None], dtype=object)\n"
        "for n in ('__eq__', '__hash__', '__repr__', '__array__', '__len__', '__iter__', '__getattribute__'):\n"
        "    setattr(C, n, die)", "object.__setattr__(c, 'a', 1)", "~c ~x"),
    "an array whose methods kill": (
        _DIE + "import numpy as np\nclass A(np.ndarray):\n    pass\nx = np.zeros(9000).view(A)\n"
        "for n in ('__array_finalize__', '__array_ufunc__', '__getitem__', 'tobytes', '__len__', 'reshape', 'view',\n"
        "    '__reduce__', '__array_wrap__', '__array_function__', 'shape', 'dtype', 'flags', 'base'):\n"
        "    setattr(A, n, die)", "np.ndarray.__setitem__(x, 7, 1)", "~x"),
    "a table whose methods kill": (
        _DIE + "import pandas as pd\nclass T(pd.DataFrame): pass\nx = T({'a': [1, 2]})\n"
        "for n in ('__getattr__', '__len__', '_mgr', 'shape', '__repr__', '__reduce__', '__getstate__'):\n"
        "    setattr(T, n, property(die))", "object.__setattr__(x, 'a_1', 1)", "~x"),
    "an array of a file that was cut off": (
        "import numpy as np\nx = np.memmap('short', 'u1', 'w+', shape=(1 << 20,))", "open('short', 'w').close()", "~x"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "code", "expected"), CASES.values(), ids=CASES)
def test_what_objects_say_of_themselves_is_not_asked(
    plain: Interpreter, before: str, code: str, expected: str
):
    """So the report is as exact as of any other object."""
    found = changes(plain, before, code)
    _is_as(found, expected)


@pytest.mark.parametrize(("before", "code", "expected"), NUMERIC.values(), ids=NUMERIC)
def test_what_arrays_and_tables_say_of_themselves_is_not_asked(
    numeric: Interpreter, before: str, code: str, expected: str
):
    """Likewise; and memory is read as often as it is there, not as often as it is shown."""
    _is_as(changes(numeric, before, code), expected)


@pytest.mark.parametrize(("before", "code", "expected"), UNDECIDED.values(), ids=UNDECIDED)
def test_what_has_no_end_is_given_up(plain: Interpreter, before: str, code: str, expected: str):
    """And told as something that could not be compared."""
    found = changes(plain, before, code)
    _is_as(found, expected)
    assert found[-1]["name"] in not_compared(found)
    execute(plain, "del f" if expected == "~f" else "del x", report=True)


def _is_as(found: list[dict], expected: str) -> None:
    known = [sign_and_name for sign_and_name in brief(found).split() if sign_and_name[1:] not in _HELPERS]
    assert " ".join(known) == expected


_HELPERS = {"n", "_"}


def test_a_list_that_is_changed_while_it_is_looked_at(start: Callable[..., Interpreter]):
    """By a thread that never rests: each report is whole, and the interpreter lives."""
    interpreter = start()
    execute(
        interpreter,
        "import threading\nstop = threading.Event(); xs = [[n] for n in range(500)]; d = {n: [n] for n in range(500)}\n"
        "s = set(range(500)); q = __import__('collections').deque(range(500)); b = bytearray(500)\n"
        "def work():\n    n = 0\n    while not stop.is_set():\n        n += 1\n"
        "        xs.append([n]); xs.pop(0); d[n] = [n]; d.pop(next(iter(d))); s.add(n); s.discard(n - 1)\n"
        "        q.append(n); q.popleft(); b.append(n % 256); del b[0]\n"
        "thread = threading.Thread(target=work, daemon=True); thread.start()",
        report=True,
    )
    for _ in range(20):
        found = {change["name"] for change in execute(interpreter, "pass", report=True).header["changes"]}
        assert found <= {"xs", "d", "s", "q", "b", "stop", "thread"}
    execute(interpreter, "stop.set(); thread.join()", report=True)
    assert changes(interpreter, "x = [1]", "x.append(2)")[0]["name"] == "x"


def test_what_another_thread_did_since_the_last_report_is_told(start: Callable[..., Interpreter]):
    """With the next operation, whatever that does."""
    interpreter = start()
    execute(
        interpreter,
        "import os, threading\nx = [1]; y = [1]; os.mkfifo('go')\n"
        "def work():\n    open('go').close()\n    x.append(2)\n    print('gone')\n"
        "threading.Thread(target=work).start()",
        report=True,
    )
    (interpreter.workspace / "go").write_bytes(b"")  # waits for the thread to read, and that for this
    interpreter.output_until("gone")
    assert brief(execute(interpreter, "z = 1", report=True).header["changes"]) == "~x +z"


def test_an_audit_hook_that_forbids_everything(start: Callable[..., Interpreter]):
    """What can be told then is told; the session goes on."""
    interpreter = start()
    execute(
        interpreter,
        "import sys\nclass C: pass\nx = [1]; c = C(); closed = False\n"
        "def hook(event, args):\n"
        "    if closed and not event.startswith(('compile', 'exec')): raise RuntimeError(event)\n"
        "sys.addaudithook(hook)",
        report=True,
    )
    execute(interpreter, "closed = True", report=True)
    for _ in range(3):
        interpreter.start("x.append(2)", report_changes=True)
        header = interpreter.finish().header
        assert header["changes_truncated"] or "x" in {change["name"] for change in header["changes"]}


def test_what_finalizers_do_in_a_report_is_told_with_the_next(start: Callable[..., Interpreter]):
    """The collector runs when user code does."""
    interpreter = start()
    execute(
        interpreter,
        "import gc\nclass C:\n    def __del__(self):\n        global dead\n        dead = [1]\n"
        "c = C(); c.c = c; gc.collect()",
        report=True,
    )
    first = execute(interpreter, "del c", report=True).header["changes"]
    second = execute(interpreter, "gc.collect()", report=True).header["changes"]
    assert sorted([*brief(first).split(), *brief(second).split()]) == ["+dead", "-c"]
