"""Classes and their instances. Code that makes them, and an expression that is true where they are as they were."""

from __future__ import annotations

CLASSES: dict[str, tuple[str, str]] = {
    "class": (
        (
            "class K:\n"
            "    'doc'\n"
            "    n = 1\n"
            "    def __init__(self, v): self.v = v\n"
            "    def get(self): return self.v\n"
            "k = K(5)"
        ),
        ("type(k) is K and k.get() == 5 and K.__doc__ == 'doc' and K.n == 1 and K.__module__ == '__main__'"),
    ),
    "methods-see-later-globals": (
        ("class K:\n    def m(self): return later\nk = K()"),
        "(globals().__setitem__('later', 5), k.m() == 5)[1]",
    ),
    "hierarchy": (
        (
            "class A:\n"
            "    def f(self): return 'A'\n"
            "class B(A):\n"
            "    def f(self): return 'B' + super().f()\n"
            "class C(B): ...\n"
            "c = C()"
        ),
        "c.f() == 'BA' and C.__mro__ == (C, B, A, object)",
    ),
    "diamond": (
        ("class A: ...\nclass B(A): ...\nclass C(A): ...\nclass D(B, C): ...\nd = D()"),
        "D.__mro__ == (D, B, C, A, object) and type(d) is D",
    ),
    "redefined-class": (
        ("class K:\n    n = 1\nold = K()\nclass K:\n    n = 2\nnew = K()"),
        "old.n == 1 and new.n == 2 and type(new) is K and type(old) is not K",
    ),
    "local-class": (
        (
            "def make():\n"
            "    class L:\n"
            "        v = 1\n"
            "    return L\n"
            "L1, L2 = make(), make(); a, b = L1(), L2()"
        ),
        "type(a) is L1 and type(b) is L2 and L1 is not L2",
    ),
    "anonymous-class": (
        "a = type('X', (), {'v': 1})(); b = [type(a)]",
        "type(a) is b[0] and a.v == 1",
    ),
    "nested-class": (
        ("class A:\n    class B:\n        v = 1\nb = A.B()"),
        "type(b) is A.B and A.B.__qualname__ == 'A.B'",
    ),
    "static-and-class-methods": (
        (
            "class K:\n"
            "    @staticmethod\n"
            "    def s(): return 1\n"
            "    @classmethod\n"
            "    def c(cls): return cls\n"
            "    @property\n"
            "    def p(self): return 3\n"
            "    @p.setter\n"
            "    def p(self, v): self.q = v"
        ),
        "K.s() == 1 and K.c() is K and K().p == 3 and K.p.fset is not None",
    ),
    "slots": (
        (
            "class S:\n"
            "    __slots__ = ('a', '__b', '__weakref__')\n"
            "    def __init__(self): self.a = 1; self.__b = 2\n"
            "    def b(self): return self.__b\n"
            "s = S()"
        ),
        (
            "s.a == 1 and s.b() == 2 and not hasattr(s, '__dict__') and S.__slots__ == ('a', "
            "'__b', '__weakref__')"
        ),
    ),
    "slots-and-dictionary": (
        ("class S:\n    __slots__ = ['a', '__dict__']\ns = S(); s.a = 1; s.z = 2"),
        "s.a == 1 and s.__dict__ == {'z': 2}",
    ),
    "metaclass": (
        (
            "class M(type):\n"
            "    made = []\n"
            "    def __new__(m, n, b, d):\n"
            "        c = super().__new__(m, n, b, d); m.made.append(n); return c\n"
            "    def hello(cls): return cls.__name__\n"
            "class K(metaclass=M): ...\n"
            "k = K()"
        ),
        "type(K) is M and K.hello() == 'K' and M.made == ['K']",
    ),
    "init-subclass": (
        (
            "class A:\n"
            "    subs = []\n"
            "    def __init_subclass__(cls, *, tag): cls.tag = tag; A.subs.append(cls)\n"
            "class B(A, tag=1): ..."
        ),
        "A.subs == [B] and B.tag == 1",
    ),
    "set-name": (
        (
            "class D:\n"
            "    def __set_name__(self, o, n): self.calls = getattr(self, 'calls', 0) + 1; "
            "self.n = n\n"
            "    def __get__(self, i, o): return self\n"
            "class K:\n"
            "    d = D()"
        ),
        "K.d.n == 'd' and K.d.calls == 1",
    ),
    "abstract-class": (
        (
            "import abc\n"
            "class A(abc.ABC):\n"
            "    @abc.abstractmethod\n"
            "    def f(self): ...\n"
            "class B(A):\n"
            "    def f(self): return 1\n"
            "class V: ...\n"
            "A.register(V)\n"
            "b, v = B(), V()"
        ),
        (
            "isinstance(b, A) and isinstance(v, A) and A.__abstractmethods__ == {'f'} and not "
            "B.__abstractmethods__ and b.f() == 1"
        ),
    ),
    "dataclass": (
        (
            "import dataclasses\n"
            "@dataclasses.dataclass(order=True)\n"
            "class P:\n"
            "    x: int\n"
            "    y: list = dataclasses.field(default_factory=list)\n"
            "p = P(1)"
        ),
        (
            "P(1) == p and P(0) < p and repr(p) == 'P(x=1, y=[])' and "
            "dataclasses.fields(P)[0].default is dataclasses.MISSING and dataclasses.replace(p, "
            "x=2) == P(2)"
        ),
    ),
    "frozen-dataclass": (
        (
            "import dataclasses\n"
            "@dataclasses.dataclass(frozen=True, slots=True)\n"
            "class P:\n"
            "    x: int\n"
            "p = P(1); d = {p: 1}"
        ),
        "d[P(1)] == 1 and p.x == 1 and not hasattr(p, '__dict__')",
    ),
    "enum": (
        (
            "import enum\n"
            "class Color(enum.Enum):\n"
            "    RED = 1\n"
            "    GREEN = 2\n"
            "    CRIMSON = 1\n"
            "    def hot(self): return self is Color.RED\n"
            "r = Color.RED; m = {Color.GREEN: 1}"
        ),
        (
            "r is Color.RED and Color(2) is Color.GREEN and m[Color.GREEN] == 1 and r.hot() and "
            "Color.CRIMSON is r and list(Color) == [Color.RED, Color.GREEN] and "
            "Color['GREEN'].name == 'GREEN'"
        ),
    ),
    "enum-with-attributes": (
        (
            "import enum\n"
            "class P(enum.Enum):\n"
            "    A = (1, 2)\n"
            "    B = (3, 4)\n"
            "    def __init__(self, a, b): self.s = a + b\n"
            "p = P.B"
        ),
        "p is P.B and p.s == 7 and P((1, 2)).s == 3 and p.value == (3, 4)",
    ),
    "int-enum": (
        ("import enum\nclass N(enum.IntEnum):\n    A = enum.auto()\n    B = enum.auto()\nn = N.B"),
        "n == 2 and n is N.B and N(1) + 1 == 2",
    ),
    "string-enum": (
        (
            "import enum\n"
            "class S(str, enum.Enum):\n"
            "    A = 'x'\n"
            "class T(enum.StrEnum):\n"
            "    B = enum.auto()\n"
            "s, t = S.A, T.B"
        ),
        "s == 'x' and s is S.A and t is T.B and str(t) == 'b'",
    ),
    "flag": (
        (
            "import enum\n"
            "class F(enum.Flag):\n"
            "    A = enum.auto()\n"
            "    B = enum.auto()\n"
            "f = F.A | F.B; n = F(0)"
        ),
        "f == F.A | F.B and F.A in f and f.value == 3 and not n and F(3) is f",
    ),
    "enum-in-another-group": (
        ("import enum\nclass C(enum.Enum):\n    A = 1\nxs = [C.A] * 100; ys = list(range(200)) + [C.A]"),
        "xs[0] is C.A and ys[-1] is C.A",
    ),
    "anonymous-enum": (
        ("import enum\ne = [enum.Enum('E', 'A B').B]"),
        "e[0].name == 'B' and type(e[0]).A.value == 1 and type(e[0]).B is e[0]",
    ),
    "named-tuple": (
        (
            "import collections, typing\n"
            "P = collections.namedtuple('P', 'x y', defaults=[2])\n"
            "class Q(typing.NamedTuple):\n"
            "    a: int = 1\n"
            "p, q = P(1), Q()"
        ),
        (
            "p == (1, 2) and p.x == 1 and type(p) is P and p._replace(x=3).x == 3 and q.a == 1 "
            "and type(q) is Q and P._make([5, 6]).y == 6"
        ),
    ),
    "typed-dict": (
        ("import typing\nclass T(typing.TypedDict):\n    a: int\nt = T(a=1)"),
        "T.__annotations__ == {'a': int} and t == {'a': 1} and T(a=2) == {'a': 2}",
    ),
    "generic-class": (
        (
            "import typing\n"
            "T = typing.TypeVar('T', bound=int)\n"
            "class G(typing.Generic[T]):\n"
            "    def f(self) -> T: ...\n"
            "x = G[int]; g = G()"
        ),
        ("x.__origin__ is G and G.__parameters__ == (T,) and T.__bound__ is int and T.__name__ == 'T'"),
    ),
    "protocol-class": (
        (
            "import typing\n"
            "@typing.runtime_checkable\n"
            "class P(typing.Protocol):\n"
            "    def f(self): ...\n"
            "class K:\n"
            "    def f(self): ...\n"
            "k = K()"
        ),
        "isinstance(k, P) and not isinstance(1, P)",
    ),
    "new-type": (
        ("import typing\nU = typing.NewType('U', int)"),
        "U(1) == 1 and U.__name__ == 'U' and U.__supertype__ is int",
    ),
    "typing-objects": (
        ("import typing\nclass K: ...\na, b, c = typing.List[K], K | None, dict[str, K]"),
        "a.__args__ == (K,) and b.__args__[0] is K and c.__args__[1] is K",
    ),
    "cached-property": (
        (
            "import functools\n"
            "class K:\n"
            "    n = 0\n"
            "    @functools.cached_property\n"
            "    def p(self): K.n += 1; return [self]\n"
            "k = K(); k.p; j = K()"
        ),
        "k.p[0] is k and 'p' in k.__dict__ and 'p' not in j.__dict__ and K.p.attrname == 'p'",
    ),
    "subclass-of-builtins": (
        (
            "class L(list): ...\n"
            "class D(dict):\n"
            "    def __missing__(self, k): return k\n"
            "class I(int): ...\n"
            "class S(str): ...\n"
            "l, d, i, s = L([1]), D(a=1), I(3), S('x'); l.t = 1"
        ),
        "l == [1] and l.t == 1 and d['b'] == 'b' and type(i) is I and i == 3 and type(s) is S",
    ),
    "class-with-state-methods": (
        (
            "class K:\n"
            "    def __getstate__(self): return {'x': self.x}\n"
            "    def __setstate__(self, s): K.set = True; self.x = s['x']\n"
            "K.set = True; k = K(); k.x = [1]"
        ),
        "type(k) is K and k.x == [1] and K.set",
    ),
    "class-with-reduce": (
        (
            "class K:\n"
            "    def __init__(self, n): self.n = n\n"
            "    def __reduce__(self): return K, (self.n,)\n"
            "k = K([1])"
        ),
        "k.n == [1] and type(k) is K",
    ),
    "class-with-new-arguments": (
        (
            "class K(tuple):\n"
            "    def __new__(cls, a, b): return super().__new__(cls, (a, b))\n"
            "    def __getnewargs__(self): return tuple(self)\n"
            "k = K(1, 2)"
        ),
        "k == (1, 2) and type(k) is K",
    ),
    "instance-in-its-class": (
        ("class K: ...\nK.only = K(); k = K.only"),
        "K.only is k and type(k) is K",
    ),
    "instance-with-setstate-in-its-class": (
        (
            "class K:\n"
            "    def __setstate__(self, s): self.__dict__.update(s); self.ok = True\n"
            "    def __getstate__(self): return {'n': 1}\n"
            "K.only = K(); K.only.n = 1; K.only.ok = True"
        ),
        "K.only.ok",
    ),
    "class-attribute-shared": (
        ("class K:\n    total = []\na = K.total"),
        "K.total is a",
    ),
    "class-order": (
        ("class K:\n    z = 1\n    def f(self): ...\n    a = 2\n    def b(self): ..."),
        "[n for n in vars(K) if not n.startswith('__')] == ['z', 'f', 'a', 'b']",
    ),
    "classes-that-need-each-other": (
        ("class A: ...\nclass B: ...\nA.b, B.a = B, A"),
        "A.b is B and B.a is A",
    ),
    "changed-class-of-an-instance": (
        ("class A: ...\nclass B: ...\nx = A(); x.__class__ = B"),
        "type(x) is B",
    ),
    "descriptor-of-slots": (
        ("class S:\n    __slots__ = ('a',)\nd = S.a"),
        "d is S.__dict__['a']",
    ),
    "ctypes-structure": (
        (
            "import ctypes\n"
            "class P(ctypes.Structure):\n"
            "    _fields_ = [('x', ctypes.c_int), ('y', ctypes.c_double)]\n"
            "p = P(1, 2.0)"
        ),
        "(p.x, p.y) == (1, 2.0) and type(p) is P",
    ),
}
