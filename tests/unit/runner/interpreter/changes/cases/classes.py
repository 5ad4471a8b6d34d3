"""Classes, as values of names."""

from __future__ import annotations

from typing import Final

_C: Final = "class C:\n    n = 1\n    xs = []\n    def m(self): return 1\n"
_META: Final = "class M(type):\n    k = 1\nclass C(metaclass=M):\n    n = 1\n"
_ENUM: Final = "import enum\nclass E(enum.Enum):\n    A = 1\n    B = [2]\n"

FOUND: Final = {
    "a class attribute": (_C, "C.n = 2", "~C"),
    "a new class attribute": (_C, "C.k = 2", "~C"),
    "a class attribute that is deleted": (_C, "del C.n", "~C"),
    "in a class attribute": (_C, "C.xs.append(1)", "~C"),
    "in a class attribute, through an instance": (_C + "c = C()", "c.xs.append(1)", "~C"),
    "in a class attribute, through an alias": (_C + "x = C.xs", "x.append(1)", "~C ~x"),
    "a class attribute's alias": (_C + "x = []", "C.xs = x", "~C"),
    "a class attribute in a class method": (
        "class C:\n    n = 0\n    @classmethod\n    def m(cls): cls.n += 1", "C.m()", "~C"),
    "a class attribute in __init__": (
        "class C:\n    n = 0\n    def __init__(self): C.n += 1", "C()", "~C"),
    "a method for another": (_C, "C.m = lambda self: 2", "~C"),
    "a method's code": (_C + "def f(self): return 2", "C.m.__code__ = f.__code__", "~C"),
    "a method that is decorated": (_C, "C.m = staticmethod(C.m)", "~C"),
    "a class that does something else": (
        _C, "class C:\n    n = 1\n    xs = []\n    def m(self): return 2", "~C"),
    "a class with another base": ("class A: pass\nclass C: pass", "class C(A): pass", "~C"),
    "bases": ("class A: pass\nclass B: pass\nclass C(A): pass", "C.__bases__ = (B,)", "~C"),
    "a base's attribute is the base's": ("class A:\n    n = 1\nclass C(A): pass", "A.n = 2", "~A"),
    "a class's alias": (_C + "D = C", "C.n = 2", "~C ~D"),
    "a class's text": ("class C:\n    'one'", "C.__doc__ = 'two'", "~C"),
    "a class's name": (_C, "C.__name__ = 'D'; C.__qualname__ = 'D'", "~C"),
    "an annotation": ("class C:\n    a: int = 1", "C.__annotations__['a'] = str", "~C"),
    "a property's getter": (
        "class C:\n    @property\n    def p(self): return 1", "C.p = property(lambda self: 2)", "~C"),
    "in a default of a method": (
        "class C:\n    def m(self, xs=[]): xs.append(1)", "C().m()", "~C"),
    "a class in a class": ("class C:\n    class D:\n        n = 1", "C.D.n = 2", "~C"),
    "an attribute of a metaclass": (_META, "M.k = 2", "~M"),
    "an attribute of a class with a metaclass": (_META, "C.n = 2", "~C"),
    "another metaclass": (_META, "class C:\n    n = 1", "~C"),
    "a metaclass that counts": (
        "class M(type):\n    made = []\n    def __new__(m, *a): m.made.append(a[0]); return type.__new__(m, *a)",
        "class C(metaclass=M): pass", "+C ~M"),
    "a base that counts its subclasses": (
        "class A:\n    made = []\n    def __init_subclass__(cls): A.made.append(1)", "class C(A): pass",
        "~A +C"),
    "a class with slots": ("class C:\n    __slots__ = ('a',)\n    n = 1", "C.n = 2", "~C"),
    "an attribute of an enumeration's member": (_ENUM, "E.A.note = 1", "~E"),
    "in an enumeration's value": (_ENUM, "E.B.value.append(3)", "~E"),
    "an enumeration with one more": (_ENUM, "class E(enum.Enum):\n    A = 1\n    B = [2]\n    C = 3", "~E"),
    "a registered class": (
        "import abc\nclass A(abc.ABC):\n    @abc.abstractmethod\n    def m(self): ...",
        "A.m = lambda self: 1", "~A"),
    "a dataclass's default": (
        "from dataclasses import dataclass\n@dataclass\nclass C:\n    a: int = 1", "C.a = 2", "~C"),
    "a named tuple's class": (
        "from collections import namedtuple\nP = namedtuple('P', 'a b')", "P = namedtuple('P', 'a c')", "~P"),
    "a local class": ("def f(n):\n    class L:\n        a = n\n    return L\nC = f(1)", "C.a = 2", "~C"),
    "a class in a list": (_C + "x = [C]", "C.n = 2", "~C ~x"),
    "a generic class": (
        "import typing\nT = typing.TypeVar('T')\nclass C(typing.Generic[T]):\n    n = 1", "C.n = 2", "~C"),
}  # fmt: skip

NOT_REPORTED: Final = {
    "an identical class": (_C, _C),
    "an identical class, elsewhere in the cell": (_C, "\n\n\n" + _C),
    "an identical dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass C:\n    a: int = 1",
        "@dataclass\nclass C:\n    a: int = 1"),
    "an identical enumeration": (_ENUM, _ENUM),
    "an identical class with slots": ("class C:\n    __slots__ = ('a',)", "class C:\n    __slots__ = ('a',)"),
    "an identical class with a metaclass": (_META, "class C(metaclass=M):\n    n = 1"),
    "an identical named tuple": (
        "from collections import namedtuple\nP = namedtuple('P', 'a b')", "P = namedtuple('P', 'a b')"),
    "a class that is used": (_C, "c = C(); c.m(); c.a = 1; del c; C.n; C.__mro__; C.__subclasses__()"),
    "a class that is derived from": (_C, "class D(C): pass\ndel D"),
    "an abstract class's cache": (
        "import abc\nclass A(abc.ABC): pass\nclass B: pass",
        "isinstance(B(), A); issubclass(B, A); issubclass(int, A)"),
    "a class whose instance changed": (_C + "c = C(); del c", "c = C(); c.n = 5; del c"),
    "an enumeration that is used": (_ENUM, "E(1); E['A']; list(E); E.A.name; hash(E.A)"),
    "a class that is copied": (_C, "import copy as y; y.copy(C()); y.deepcopy(C()); del y"),
    "a class that is pickled": (_C, "import pickle as y; y.loads(y.dumps(C())); del y"),
    "a class that is documented": (
        _C, "import inspect as y; y.signature(C.m); y.getdoc(C); y.getmembers(C); del y"),
    "a dataclass that is asked": (
        "import dataclasses\n@dataclasses.dataclass\nclass C:\n    a: int = 1",
        "dataclasses.fields(C); dataclasses.asdict(C())"),
    "a class whose hints are resolved": (
        "import typing\nclass C:\n    a: 'int' = 1", "typing.get_type_hints(C)"),
}  # fmt: skip
