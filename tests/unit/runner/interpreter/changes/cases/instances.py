"""Instances of the user's classes."""

from __future__ import annotations

from typing import Final

_PLAIN: Final = "class C:\n    n = 1\nc = C()\n"
_SLOTS: Final = (
    "class C:\n    __slots__ = ('a', 'b', '__d')\n    def d(self, v): self.__d = v\nc = C(); c.a = [1]\n"
)
_DATA: Final = "from dataclasses import dataclass, field\n"
_PROPERTY: Final = (
    "import functools\nclass C:\n    @functools.cached_property\n    def p(self): return [1]\nc = C()\n"
)

FOUND: Final = {
    "an attribute": (_PLAIN, "c.a = 1", "~c"),
    "an attribute's value": (_PLAIN + "c.a = 1", "c.a = 2", "~c"),
    "an attribute that is deleted": (_PLAIN + "c.a = 1", "del c.a", "~c"),
    "an attribute that hides the class's": (_PLAIN, "c.n = 1", "~c"),
    "the order of attributes": (_PLAIN + "c.a = 1; c.b = 2", "del c.a; c.a = 1", "~c"),
    "in an attribute": (_PLAIN + "c.a = [1]", "c.a.append(2)", "~c"),
    "an attribute of an attribute": (_PLAIN + "c.d = C()", "c.d.a = 1", "~c"),
    "through __dict__": (_PLAIN, "c.__dict__['a'] = 1", "~c"),
    "another __dict__": (_PLAIN + "c.a = 1", "c.__dict__ = {'a': 2}", "~c"),
    "a __dict__ that is shared": (
        _PLAIN + "d = C(); c.a = 1; d.a = 1", "d.__dict__ = c.__dict__; d.a = 2", "~c ~d"),
    "through setattr": (_PLAIN, "setattr(c, 'a b', 1)", "~c"),
    "through object.__setattr__": (_PLAIN, "object.__setattr__(c, 'a', 1)", "~c"),
    "in a method": (
        "class C:\n    def m(self): self.a = 1\nc = C()", "c.m()", "~c"),
    "in an operator": (
        "class C:\n    a = 0\n    def __iadd__(self, n): self.a += n; return self\nc = C()", "c += 1", "~c"),
    "in __getattr__": (
        "class C:\n    def __getattr__(self, name): self.a = name; return 1\nc = C()", "c.b", "~c"),
    "in __len__": ("class C:\n    def __len__(self): self.a = 1; return 0\nc = C()", "bool(c)", "~c"),
    "in a context manager": (
        "class C:\n    def __enter__(self): self.a = 1\n    def __exit__(self, *_): self.a = 2\nc = C()",
        "with c: pass", "~c"),
    "another class": (_PLAIN + "class D: pass", "c.__class__ = D", "~c"),
    "an instance for another": (_PLAIN + "d = C(); d.a = 1; c.a = 2", "c = d", "~c"),
    "an instance that is one with another": (_PLAIN + "d = C(); c.a = d.a = 1", "c = d", "~c"),
    "a cycle of instances": (
        _PLAIN + "d = C(); c.d = d; d.c = c", "d.a = 1", "~c ~d"),
    "a slot": (_SLOTS, "c.b = 1", "~c"),
    "in a slot": (_SLOTS, "c.a.append(1)", "~c"),
    "a slot that is emptied": (_SLOTS, "del c.a", "~c"),
    "a private slot": (_SLOTS, "c.d(1)", "~c"),
    "a slot of a base": (_SLOTS + "class D(C):\n    __slots__ = ('e',)\nd = D(); d.e = 1", "d.b = 2", "~d"),
    "an attribute beside slots": (_SLOTS + "class D(C): pass\nd = D()", "d.e = 2", "~d"),
    "a slot beside attributes": (_SLOTS + "class D(C): pass\nd = D(); d.e = 2", "d.a = 2", "~d"),
    "a slot of one name in two classes": (
        "class A:\n    __slots__ = ('a',)\nclass B(A):\n    __slots__ = ('a',)\nb = B(); b.a = 1",
        "A.a.__set__(b, 2)", "~b"),
    "a dataclass's field": (
        _DATA + "@dataclass\nclass C:\n    a: int\n    b: list\nc = C(1, [])", "c.b.append(1)", "~c"),
    "a field beyond comparison": (
        _DATA + "@dataclass\nclass C:\n    a: int = field(compare=False, repr=False)\nc = C(1)", "c.a = 2",
        "~c"),
    "a frozen dataclass": (
        _DATA + "@dataclass(frozen=True)\nclass C:\n    a: int\nc = C(1)", "object.__setattr__(c, 'a', 2)",
        "~c"),
    "a dataclass with slots": (
        _DATA + "@dataclass(slots=True)\nclass C:\n    a: int\nc = C(1)", "c.a = 2", "~c"),
    "a filled cached_property": (_PROPERTY, "c.p", "~c"),
    "a cached_property that is emptied": (_PROPERTY + "c.p", "del c.p", "~c"),
    "equal by __eq__, but not": (
        "class C:\n    def __eq__(self, other): return True\n    __hash__ = None\nc = C(); c.a = 1",
        "c = C(); c.a = 2", "~c"),
    "a descriptor's storage": (
        ("class D:\n    def __set__(self, o, v): o.__dict__['_v'] = v\n    def __get__(self, o, t): return 7\n"
        "class C:\n    v = D()\nc = C()"), "c.v = 1", "~c"),
    "storage behind a property of one name": (
        "class C:\n    @property\n    def a(self): return 1\nc = C()", "c.__dict__['a'] = 2", "~c"),
    "an error's arguments": ("x = ValueError('a')", "x.args = ('b',)", "~x"),
    "an error's attribute": ("x = ValueError('a')", "x.code = 1", "~x"),
    "an error's note": ("x = ValueError('a')", "x.add_note('b')", "~x"),
    "an error's cause": ("x = ValueError('a')", "x.__cause__ = KeyError('b')", "~x"),
    "an error that was raised": (
        "x = None", "try: {}['key']\nexcept KeyError as error: x = error", "~x"),
    "an OSError's file": ("x = FileNotFoundError(2, 'no', 'a')", "x.filename = 'b'", "~x"),
    "a StopIteration's value": ("x = StopIteration(1)", "x.value = 2", "~x"),
    "a SyntaxError's line": ("x = SyntaxError('no', ('f', 1, 2, 'text'))", "x.lineno = 3", "~x"),
    "a UnicodeError's end": ("x = UnicodeDecodeError('utf-8', b'abc', 0, 1, 'no')", "x.end = 2", "~x"),
    "an ImportError's name": ("x = ImportError('no', name='a')", "x.name = 'b'", "~x"),
    "a SystemExit's code": ("x = SystemExit(1)", "x.code = 2", "~x"),
    "an AttributeError's object": ("y = [1]; x = AttributeError('no', obj=y)", "y.append(2)", "~x ~y"),
    "in a group of errors": (
        "x = ExceptionGroup('g', [ValueError([1])])", "x.exceptions[0].args[0].append(1)", "~x"),
    "an error of one's own": (
        "class E(Exception):\n    def __init__(self, a): self.a = a\nx = E([1])", "x.a.append(2)", "~x"),
    "a subclass of an int with attributes": ("class N(int): pass\nx = N(1)", "x.a = 1", "~x"),
    "an instance of a class without a name": (
        "def f():\n    class L: pass\n    return L()\nc = f()", "c.a = 1", "~c"),
    "a proxy's target": (
        ("class P:\n    def __init__(self, t): object.__setattr__(self, '_t', t)\n"
        "    def __getattribute__(self, n): return getattr(object.__getattribute__(self, '_t'), n)\n"
        "    __class__ = property(lambda self: list)\nx = [1]; c = P(x)"), "x.append(2)", "~c ~x"),
}  # fmt: skip

NOT_REPORTED: Final = {
    "an attribute that is read": (_PLAIN + "c.a = [1]", "c.a; c.n; hasattr(c, 'b'); c.__dict__; vars(c)"),
    "an instance, where only its class changed": (
        _PLAIN + "del C", "type(c).n = 2; type(c).m = lambda self: 1"),
    "an equal instance": (_PLAIN + "c.a = [1]", "c = C(); c.a = [1]"),
    "an attribute that is equal": (_PLAIN + "c.a = [1]", "c.a = [1]"),
    "an attribute that came and went": (_PLAIN, "c.a = 1; del c.a"),
    "a copied instance": (_PLAIN + "c.a = {'b': [1]}", "import copy as y; c = y.deepcopy(c); del y"),
    "how a __dict__ is kept": (_PLAIN + "c.a = 1; c.b = 2", "c.__dict__; c.__dict__ = dict(c.__dict__)"),
    "a method that is called": ("class C:\n    def m(self): return 1\nc = C()", "c.m(); m = c.m; del m"),
    "a slot that is read": (_SLOTS, "c.a; hasattr(c, 'b')"),
    "an equal dataclass": (
        _DATA + "@dataclass\nclass C:\n    a: int\nc = C(1)", "c = C(1); repr(c); c == C(2)"),
    "a cached_property that is read again": (_PROPERTY + "c.p", "c.p"),
    "a property": ("class C:\n    @property\n    def p(self): return [1]\nc = C()", "c.p"),
    "an error's traceback": (
        "x = ValueError('a')", "try: raise x\nexcept ValueError: pass"),
    "an error that is looked at": (
        "import traceback\nx = KeyError('a', [1])",
        "str(x); repr(x); traceback.format_exception(x); x.__traceback__"),
    "an equal error": ("x = FileNotFoundError(2, 'no', 'a')", "x = FileNotFoundError(2, 'no', 'a')"),
    "an instance that is hashed": (_PLAIN + "x = {c: 1}", "hash(c); x[c]; c in x"),
    "an instance that is weakly referenced": (_PLAIN, "import weakref as w; r = w.ref(c); del r, w"),
}  # fmt: skip
