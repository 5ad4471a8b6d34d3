"""Functions. Code that makes them, and an expression that is true where they are as they were."""

from __future__ import annotations

FUNCTIONS: dict[str, tuple[str, str]] = {
    "function": (
        "def f(a, b=2, *c, d=4, **e): 'doc'; return a, b, c, d, e",
        "f(1) == (1, 2, (), 4, {}) and f.__doc__ == 'doc' and f.__globals__ is globals()",
    ),
    "annotated-function": (
        "def f(a: int) -> str: ...",
        "f.__annotations__ == {'a': int, 'return': str}",
    ),
    "function-with-attributes": (
        ("def f(): ...\nf.n = [1]; a = f.n"),
        "f.n is a",
    ),
    "global-counter": (
        ("n = 0\ndef bump():\n    global n\n    n += 1\n    return n"),
        "(lambda m: bump() == m + 1 == n)(n)",
    ),
    "function-sees-later-globals": (
        "def f(): return later",
        "(globals().__setitem__('later', 5), f() == 5)[1]",
    ),
    "recursive-function": (
        "def fact(n): return n * fact(n - 1) if n else 1",
        "fact(10) == 3628800",
    ),
    "mutually-recursive": (
        ("def even(n): return n == 0 or odd(n - 1)\ndef odd(n): return n != 0 and even(n - 1)"),
        "even(10) and odd(7)",
    ),
    "closure": (
        ("def make(n):\n    def add(x): return x + n\n    return add\nf = make(3)"),
        "f(4) == 7",
    ),
    "shared-cell": (
        (
            "def make():\n"
            "    n = 0\n"
            "    def inc():\n"
            "        nonlocal n\n"
            "        n += 1\n"
            "    def get(): return n\n"
            "    return inc, get\n"
            "inc, get = make(); inc()"
        ),
        "(lambda m: (inc(), get() == m + 1)[1])(get())",
    ),
    "recursive-closure": (
        ("def make():\n    def fact(n): return n * fact(n - 1) if n else 1\n    return fact\nf = make()"),
        "f(5) == 120",
    ),
    "empty-cell": (
        ("def make():\n    def f(): return n\n    return f\n    n = 1\nf = make()"),
        "len(f.__closure__) == 1 and 'empty' in repr(f.__closure__[0])",
    ),
    "cell": (
        ("def make(n):\n    def f(): return n\n    return f\nf = make([1]); c = f.__closure__[0]"),
        "c is f.__closure__[0] and f() is c.cell_contents",
    ),
    "cell-alone": (
        ("import types\nc = types.CellType(1)"),
        "c.cell_contents == 1",
    ),
    "lambda": (
        "f = lambda x: x * 2",
        "f(2) == 4 and f.__name__ == '<lambda>'",
    ),
    "lambdas-in-a-container": (
        "fs = {'a': lambda: 1, 'b': [lambda: 2]}",
        "fs['a']() == 1 and fs['b'][0]() == 2",
    ),
    "decorated": (
        (
            "import functools\n"
            "def deco(f):\n"
            "    @functools.wraps(f)\n"
            "    def w(*a): return f(*a) + 1\n"
            "    return w\n"
            "@deco\n"
            "def f(x): 'd'; return x"
        ),
        "f(1) == 2 and f.__wrapped__(1) == 1 and f.__doc__ == 'd'",
    ),
    "partial": (
        ("import functools\ndef f(a, b): return a, b\np = functools.partial(f, 1)"),
        "p(2) == (1, 2) and p.func is f",
    ),
    "alias-of-a-function": (
        ("def f(): ...\ng = f; h = [f]"),
        "g is f and h[0] is f",
    ),
    "old-function": (
        ("def f(): return 1\nold = f\ndef f(): return old() + 1"),
        "f() == 2 and old() == 1 and old is not f",
    ),
    "default-shared": (
        ("a = []\ndef f(x=a): return x"),
        "f() is a",
    ),
    "lru-cache": (
        ("import functools\n@functools.lru_cache(10)\ndef f(x): 'doc'; return [x]\nf(1)"),
        "f(2) is f(2) and f.cache_info().maxsize == 10 and f.__doc__ == 'doc'",
    ),
    "cache-of-a-recursion": (
        ("import functools\n@functools.cache\ndef fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)"),
        "fib(50) == 12586269025",
    ),
    "single-dispatch": (
        (
            "import functools\n"
            "@functools.singledispatch\n"
            "def f(x): return 'any'\n"
            "@f.register\n"
            "def _int(x: int): return 'int'"
        ),
        "f(1) == 'int' and f('') == 'any'",
    ),
    "context-manager-function": (
        ("import contextlib\n@contextlib.contextmanager\ndef cm(): yield 5"),
        "(lambda c: c.__enter__() == 5)(cm())",
    ),
    "generator-function": (
        ("def g():\n    yield 1\nasync def c(): return 2"),
        "list(g()) == [1] and c.__code__.co_flags & 0x80",
    ),
    "code": (
        "c = compile('1+1', 'x', 'eval')",
        "eval(c) == 2 and c.co_filename == 'x'",
    ),
    "function-of-another-namespace": (
        ("ns = {}\nexec('n = 1\\ndef f(): return n', ns)\nf = ns['f']"),
        (
            "f() == 1 and f.__globals__ is ns and (ns.__setitem__('n', 2), f() == 2, "
            "ns.__setitem__('n', 1))[1]"
        ),
    ),
    "builtin-functions": (
        "a, b, c = len, [].append, str.upper",
        "a is len and b.__self__ == [] and c('x') == 'X'",
    ),
    "bound-builtin": (
        "a = [1]; push = a.append",
        "push.__self__ is a",
    ),
    "bound-method": (
        ("class K:\n    def m(self): return self\nk = K(); m = k.m"),
        "m() is k and m.__func__ is K.m",
    ),
    "operators": (
        (
            "import operator\n"
            "a, b, c = operator.itemgetter(1), operator.attrgetter('real'), "
            "operator.methodcaller('upper')"
        ),
        "a([1, 2]) == 2 and b(3) == 3 and c('x') == 'X'",
    ),
}
