"""Functions, and what remembers: closures, generators, caches."""

from __future__ import annotations

from typing import Final

_COUNTER: Final = (
    "def make():\n    n = 0\n    def up():\n        nonlocal n\n        n += 1\n        return n\n"
    "    return up, lambda: n\nup, get = make(); del make\n"
)
_F: Final = "def f(a, b=1, *, k=2):\n    'text'\n    return a + b + k\n"
_GENERATOR: Final = (
    "def f():\n    xs = []\n    for n in range(3):\n        xs.append(n)\n        yield n\ng = f()\n"
)

FOUND: Final = {
    "a function that does something else": (
        _F, "def f(a, b=1, *, k=2):\n    'text'\n    return a - b + k", "~f"),
    "a constant of a function": ("def f(): return 1", "def f(): return 2", "~f"),
    "1 to 1.0 in a function": ("def f(): return 1", "def f(): return 1.0", "~f"),
    "a name in a function": ("def f(): return aa", "def f(): return bb", "~f"),
    "a function in a function": (
        "def f():\n    def g(): return 1\n    return g", "def f():\n    def g(): return 2\n    return g", "~f"),
    "a lambda": ("f = lambda: 1", "f = lambda: 2", "~f"),
    "a function to a lambda": ("def f(): return 1", "f = lambda: 1", "~f"),
    "an argument's name": ("def f(a): return 1", "def f(b): return 1", "~f"),
    "a default": ("def f(a=1): pass", "def f(a=2): pass", "~f"),
    "in a default": ("def f(x, xs=[]): xs.append(x)", "f(1)", "~f"),
    "in a keyword's default": ("def f(x, *, xs=[]): xs.append(x)", "f(1)", "~f"),
    "defaults": (_F, "f.__defaults__ = (2,)", "~f"),
    "keywords' defaults": (_F, "f.__kwdefaults__['k'] = 3", "~f"),
    "an attribute of a function": (_F, "f.calls = 1", "~f"),
    "in an attribute of a function": (_F + "f.calls = []", "f.calls.append(1)", "~f"),
    "code": (_F + "def g(a, b=1, *, k=2): pass", "f.__code__ = g.__code__", "~f"),
    "a function's text": (_F, "f.__doc__ = 'other'", "~f"),
    "a function's name": (_F, "f.__name__ = 'g'", "~f"),
    "a function's annotations": (_F, "f.__annotations__['a'] = int", "~f"),
    "a function that becomes a coroutine": ("def f(): return 1", "async def f(): return 1", "~f"),
    "a closure": (_COUNTER, "up()", "~get ~up"),
    "a closure's cell": (_COUNTER, "up.__closure__[0].cell_contents = 5", "~get ~up"),
    "in a closure": (
        "def make():\n    xs = []\n    return lambda n: xs.append(n)\nadd = make(); del make", "add(1)",
        "~add"),
    "what a closure shares": ("xs = []\nadd = (lambda ys: lambda n: ys.append(n))(xs)", "add(1)", "~add ~xs"),
    "a closure's variable that is bound late": (
        ("def make():\n    def get(): return n\n    def put(v):\n        nonlocal n\n        n = v\n    n = 0; del n\n"
        "    return get, put\nget, put = make(); del make"), "put(1)", "~get ~put"),
    "a closure that is two, not one": (_COUNTER + "def make():\n    n = 0\n    def up():\n        nonlocal n\n"
        "        n += 1\n        return n\n    return up, lambda: n\n", "up, get = make(); up()", "~get ~up"),
    "what a decorator remembers": (
        ("import functools\ndef d(f):\n    calls = []\n    @functools.wraps(f)\n"
         "    def g(*a):\n        calls.append(a)\n"
        "        return f(*a)\n    return g\n@d\ndef f(n): return n"), "f(1)", "~f"),
    "a bound method's object": ("class C:\n    def m(self): pass\nc = C(); m = c.m", "c.a = 1", "~c ~m"),
    "a bound method": ("class C:\n    def m(self): pass\nc, d = C(), C(); d.a = 1; m = c.m", "m = d.m", "~m"),
    "a method of a list": ("xs = []; push = xs.append", "push(1)", "~push ~xs"),
    "a partial's arguments": (
        "import functools\np = functools.partial(print, 1)", "p = functools.partial(print, 2)", "~p"),
    "in a partial's arguments": (
        "import functools\nxs = []\np = functools.partial(print, xs, k=xs)", "xs.append(1)", "~p ~xs"),
    "in a partial's keywords": (
        "import functools\np = functools.partial(print, sep='a')", "p.keywords['sep'] = 'b'", "~p"),
    "an attribute of a partial": ("import functools\np = functools.partial(print)", "p.a = 1", "~p"),
    "a partial method": (
        "import functools\nclass C:\n    def m(self, n): pass\n    p = functools.partialmethod(m, 1)",
        "C.__dict__['p'].keywords['k'] = 1", "~C"),
    "what a cached function does": (
        "import functools\n@functools.lru_cache\ndef f(): return 1",
        "@functools.lru_cache\ndef f(): return 2", "~f"),
    "what a cached function remembers beside": (
        ("import functools\nxs = []\ndef make(ys):\n    @functools.lru_cache\n"
         "    def f(n): ys.append(n)\n    return f\n"
        "f = make(xs)"), "f(1)", "~f ~xs"),
    "one more in a singledispatch": (
        "import functools\n@functools.singledispatch\ndef f(x): return 1",
        "@f.register\ndef g(x: int): return 2\ndel g", "~f"),
    "operator's getters": ("import operator\nf = operator.itemgetter(1)", "f = operator.itemgetter(2)", "~f"),
    "a generator": (_GENERATOR, "next(g)", "~g"),
    "a generator that goes on": (_GENERATOR + "next(g)", "next(g)", "~g"),
    "a generator that ends": (_GENERATOR + "list(g)\ng = f()", "list(g)", "~g"),
    "a generator that is closed": (_GENERATOR + "next(g)", "g.close()", "~g"),
    "a variable of a generator": (
        "def f(xs):\n    yield\n    yield\nx = []; g = f(x); next(g)", "x.append(1)", "~g ~x"),
    "an expression that generates": ("g = (n for n in [1, 2, 3])", "next(g)", "~g"),
    "a generator that delegates": (
        "def f(h):\n    yield from h\nh = iter([1, 2]); g = f(h); next(g)", "next(g)", "~g ~h"),
    "what is sent to a generator": (
        "def f():\n    t = 0\n    while True: t += yield t\ng = f(); next(g)", "g.send(5)", "~g"),
    "a coroutine": (
        "async def f(): pass\nc = f()", "try: c.send(None)\nexcept StopIteration: pass", "~c"),
    "a generator's frame": ("def f():\n    n = 1\n    yield\n    yield\ng = f(); next(g)", "next(g)", "~g"),
    "an asynchronous generator": (
        "async def f():\n    yield 1\n    yield 2\ng = f()", "await g.__anext__()", "~g"),
}  # fmt: skip

NOT_REPORTED: Final = {
    "an identical function": (_F, _F),
    "an identical function on other lines": (_F, "\n\n# a comment\n" + _F),
    "an identical lambda": ("f = lambda a: a + 1", "f = lambda a: a + 1"),
    "an identical closure": (
        "def make():\n    n = [0]\n    return lambda: n\nf = make()", "f = make()"),
    "an identical decorated function": (
        ("import functools\ndef d(f):\n    @functools.wraps(f)\n    def g(): return f()\n"
         "    return g\n@d\ndef f(): pass"),
        "@d\ndef f(): pass"),
    "a function that is called": (_F, "f(1); f(1, 2, k=3)"),
    "a function that is called often": ("def f(a): return a + 1", "[f(n) for n in range(5000)]"),
    "a function whose globals changed": ("x = 1\ndef f(): return x", "x += 0; f()"),
    "a function that is asked": (
        _F, "import inspect as y; y.signature(f); f.__annotations__; f.__dict__; del y"),
    "a closure that is read": (_COUNTER, "get(); up.__closure__[0].cell_contents"),
    "what a cached function holds": (
        "import functools\n@functools.lru_cache\ndef f(n): return [n]", "f(1); f(2); f.cache_info()"),
    "a cache that is cleared": (
        "import functools\n@functools.cache\ndef f(n): return [n]\nf(1)", "f.cache_clear()"),
    "a cached method": (
        "import functools\nclass C:\n    @functools.lru_cache\n    def m(self): return 1\nc = C()", "c.m()"),
    "what a singledispatch looked up": (
        "import functools\n@functools.singledispatch\ndef f(x): return 1\nf('a')",
        "f(2); f([]); f.dispatch(dict)"),
    "a partial that is called": (
        "import functools\np = functools.partial(max, 1)", "p(2); p.func; p.args; p.keywords"),
    "an identical partial": (
        "import functools\np = functools.partial(max, [1])", "p = functools.partial(max, [1])"),
    "a bound method that is called": ("class C:\n    def m(self): pass\nc = C(); m = c.m", "m(); m = c.m"),
    "a generator that is looked at": (_GENERATOR + "next(g)", "g.gi_frame; g.gi_running; g.gi_code; repr(g)"),
    "a variable of a generator that is looked at": (_GENERATOR + "next(g)", "g.gi_frame.f_locals['n']"),
    "an equal generator": ("g = (n for n in (1, 2))", "g = (n for n in (1, 2))"),
    "a coroutine function that is awaited": (
        "import asyncio\nasync def f(): await asyncio.sleep(0)", "await f()"),
    "an operator's getter": ("import operator\nf = operator.attrgetter('a')", "f = operator.attrgetter('a')"),
    "a function that is traced": (
        _F, "import sys as y; y.settrace(lambda *a: None); f(1); y.settrace(None); del y"),
}  # fmt: skip
