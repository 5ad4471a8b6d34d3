"""Values of builtin types and what they share: code that makes them, and what is true where they are as before."""

from __future__ import annotations

VALUES: dict[str, tuple[str, str]] = {
    "numbers": (
        "a, b, c, d = 1, 2.5, 3j, 10**400",
        "(a, b, c, d) == (1, 2.5, 3j, 10**400) and type(a) is int",
    ),
    "singletons": (
        "a, b, c, d = None, True, ..., NotImplemented",
        "a is None and b is True and c is ... and d is NotImplemented",
    ),
    "minus-zero-and-nan": (
        "a, b = -0.0, float('nan')",
        "str(a) == '-0.0' and b != b",
    ),
    "texts": (
        "a, b = 'ä\\udc80\\0', b'\\xff\\0'",
        "(a, b) == ('ä\\udc80\\0', b'\\xff\\0')",
    ),
    "large-text": (
        "a = 'x' * 3_000_000 + 'ä'",
        "len(a) == 3_000_001 and a[-1] == 'ä'",
    ),
    "large-bytes": (
        "a = bytes(range(256)) * 10_000",
        "a == bytes(range(256)) * 10_000",
    ),
    "containers": (
        "a = [1, (2, {3: {4}}), frozenset([5])]",
        "a == [1, (2, {3: {4}}), frozenset([5])]",
    ),
    "range-and-slice": (
        "a, b = range(1, 10, 2), slice(1, None, 2)",
        "(a, b) == (range(1, 10, 2), slice(1, None, 2))",
    ),
    "dictionary-order": (
        "a = {c: 0 for c in 'hello world'}; a['h'] = a.pop('h')",
        "''.join(a) == 'elo wrdh'",
    ),
    "large-list": (
        "a = list(range(300_000))",
        "a == list(range(300_000))",
    ),
    "deep-list": (
        ("a = []\nfor _ in range(1500): a = [a]"),
        (
            "(lambda f: f(f, a, 0))(lambda f, x, n: n if n == 900 else f(f, x[0], n + 1)) == 900 "
            "if __import__('sys').setrecursionlimit(4000) is None else 0"
        ),
    ),
    "no-variables": (
        "pass",
        "True",
    ),
    "alias": (
        "a = [1]; b = [a]; c = a",
        "b[0] is a and c is a",
    ),
    "alias-of-three-groups": (
        "a = [1]; b = {'k': a}; c = (b,); d = {'c': c}",
        "d['c'][0]['k'] is a and c[0] is b",
    ),
    "shared-attribute": (
        ("class K: pass\nk, m = K(), K(); k.v = m.v = []"),
        "k.v is m.v and type(k) is type(m) is K",
    ),
    "cycle": (
        "a = [1]; a.append(a)",
        "a[1] is a",
    ),
    "cycle-of-two": (
        "a, b = [], {}; a.append(b); b['a'] = a",
        "a[0] is b and b['a'] is a",
    ),
    "cycle-of-objects": (
        ("class N: pass\na, b = N(), N(); a.o, b.o = b, a"),
        "a.o is b and b.o is a",
    ),
    "cycle-through-tuple": (
        "a = []; b = (a,); a.append(b)",
        "a[0] is b and b[0] is a",
    ),
    "bytearray-and-view": (
        "a = bytearray(b'abcdef'); v = memoryview(a)[2:4]",
        (
            "v.obj is a and bytes(v) == b'cd' and not v.readonly and (v.__setitem__(0, 65), a[2] "
            "== 65, v.__setitem__(0, 99))[1]"
        ),
    ),
    "views-of-one-buffer": (
        "a = bytearray(8); v = memoryview(a)[:4]; w = memoryview(a)[2:]",
        "(v.__setitem__(3, 9), w[1] == 9)[1] and v.obj is w.obj",
    ),
    "view-with-a-format": (
        ("import array\na = array.array('i', range(6)); v = memoryview(a)[1:3]"),
        "v.tolist() == [1, 2] and v.obj is a",
    ),
    "view-of-bytes": (
        "v = memoryview(b'abc')",
        "bytes(v) == b'abc' and v.readonly",
    ),
    "view-of-two-dimensions": (
        "v = memoryview(bytearray(range(6))).cast('B', (2, 3))",
        "v.tolist() == [[0, 1, 2], [3, 4, 5]]",
    ),
    "array-of-numbers": (
        ("import array\na = array.array('d', [1, 2])"),
        "a.tolist() == [1, 2] and a.typecode == 'd'",
    ),
    "namespace-itself": (
        "g = globals(); x = 1",
        "g is globals() and g['x'] == 1",
    ),
    "namespace-in-a-list": (
        "g = [globals()]",
        "g[0] is globals()",
    ),
    "main-module": (
        "import __main__ as m, sys",
        "m is sys.modules['__main__'] and m.__dict__ is globals()",
    ),
    "main-module-by-two-names": (
        "import multiprocessing\nclass K: ...\nk = K(); b = [k]; c = {'k': k}",
        "b[0] is k and c['k'] is k",
    ),
    "modules-dictionary": (
        ("import sys\nm = [sys.modules, sys.path]"),
        "m[0] is sys.modules and m[1] is sys.path",
    ),
    "environment-object": (
        ("import os\ne = os.environ"),
        "e is os.environ",
    ),
    "standard-streams": (
        ("import sys\no = [sys.stdout, sys.stderr]"),
        "o[0] is sys.stdout and o[1] is sys.stderr",
    ),
}
