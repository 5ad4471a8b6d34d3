"""Modules, the standard library and the process: code that makes them, and what is true where they are as they were."""

from __future__ import annotations

SURROUNDINGS: dict[str, tuple[str, str]] = {
    "modules": (
        "import os.path as p, json, collections.abc",
        "p.join('a', 'b') == 'a/b' and json.loads('1') == 1 and collections.abc.Set",
    ),
    "own-module": (
        (
            "open('mine.py', 'w').write('class K:\\n    v = 1\\ndef f(): return K')\n"
            "import mine\n"
            "k = mine.K(); f = mine.f"
        ),
        (
            "type(k) is mine.K and f() is mine.K and mine.__file__ == "
            "__import__('os').path.realpath('mine.py')"
        ),
    ),
    "own-package": (
        (
            "import os\n"
            "os.makedirs('lib/pkg'); open('lib/pkg/__init__.py', 'w').write('from .a import x'); "
            "open('lib/pkg/a.py', 'w').write('x = [1]')\n"
            "import sys; sys.path.append(os.path.abspath('lib'))\n"
            "import pkg"
        ),
        "pkg.x == [1] and __import__('pkg.a').a.x is pkg.x",
    ),
    "module-made-by-hand": (
        ("import types\nm = types.ModuleType('m', 'doc'); m.v = [1]; a = m.v"),
        "m.v == [1] and m.__doc__ == 'doc' and m.__name__ == 'm'",
    ),
    "dates": (
        (
            "import datetime as d, zoneinfo\n"
            "a = d.datetime(2024, 1, 2, 3, tzinfo=d.timezone.utc); b = d.timedelta(1); c = "
            "zoneinfo.ZoneInfo('UTC'); e = a.replace(tzinfo=c)"
        ),
        ("a.isoformat() == '2024-01-02T03:00:00+00:00' and b.days == 1 and e.tzinfo is c and e == a"),
    ),
    "decimals": (
        ("import decimal, fractions\na, b = decimal.Decimal('1.10'), fractions.Fraction(1, 3)"),
        "str(a) == '1.10' and b * 3 == 1",
    ),
    "paths": (
        ("import pathlib\np = pathlib.Path('a/b')"),
        "p.name == 'b' and type(p) is type(pathlib.Path())",
    ),
    "patterns": (
        ("import re\np = re.compile('a(.)', re.I)"),
        "p.match('AB').group(1) == 'B'",
    ),
    "uuid": (
        ("import uuid\nu = uuid.UUID(int=5)"),
        "u.int == 5",
    ),
    "collections": (
        (
            "import collections\n"
            "a, b, c, d, e = collections.deque([1], 3), collections.Counter('aab'), "
            "collections.OrderedDict(z=1, a=2), collections.defaultdict(list, k=[1]), "
            "collections.ChainMap({1: 2})"
        ),
        ("a.maxlen == 3 and b['a'] == 2 and list(c) == ['z', 'a'] and d['new'] == [] and e[1] == 2"),
    ),
    "dictionary-views": (
        "d = {1: 2}; k, v, i = d.keys(), d.values(), d.items()",
        (
            "k.mapping == d and (d.__setitem__(3, 4), 3 in k, list(v) == [2, 4], d.pop(3))[1:3] "
            "== (True, True) and type(i) is type({}.items())"
        ),
    ),
    "mapping-proxy": (
        ("import types\nd = {1: 2}; p = types.MappingProxyType(d)"),
        "(d.__setitem__(5, 6), p[5] == 6, d.pop(5))[1]",
    ),
    "simple-namespace": (
        ("import types\nn = types.SimpleNamespace(a=[1]); b = n.a"),
        "n.a is b",
    ),
    "iterators": (
        "a = [1, 2, 3]; i = iter(a); next(i); e = enumerate('abc'); next(e)",
        (
            "(__import__('copy').copy(i).__reduce__()[2], list(__import__('copy').deepcopy(e))) "
            "== (1, [(1, 'b'), (2, 'c')]) and i.__reduce__()[1][0] is a"
        ),
    ),
    "strings-in-memory": (
        ("import io\ns, b = io.StringIO('abc'), io.BytesIO(b'xyz'); s.read(1); b.read(2)"),
        "(s.tell(), s.getvalue(), b.tell()) == (1, 'abc', 2)",
    ),
    "random-generator": (
        ("import random\nr = random.Random(5); r.random(); e = r.getstate()"),
        "r.getstate() == e",
    ),
    "exceptions": (
        (
            "class E(Exception):\n"
            "    def __init__(self, a, b): super().__init__(a); self.b = b\n"
            "try:\n"
            "    try: 1/0\n"
            "    except ZeroDivisionError as z: raise E(1, 2) from z\n"
            "except E as caught: e = caught\n"
            "o = OSError(2, 'x', 'f')"
        ),
        (
            "e.args == (1,) and e.b == 2 and type(e.__cause__) is ZeroDivisionError and "
            "e.__suppress_context__ and o.errno == 2 and o.filename == 'f'"
        ),
    ),
    "weak-reference": (
        ("import weakref\nclass K: ...\nk = K(); w = weakref.ref(k)"),
        "w() is k",
    ),
    "weak-containers": (
        (
            "import weakref\n"
            "class K: ...\n"
            "k = K(); s = weakref.WeakSet([k]); d = weakref.WeakKeyDictionary({k: 1}); v = "
            "weakref.WeakValueDictionary(a=k)"
        ),
        "k in s and d[k] == 1 and v['a'] is k",
    ),
    "weak-reference-to-a-class": (
        ("import weakref\nclass K: ...\nw = weakref.ref(K)"),
        "w() is K",
    ),
    "loggers": (
        ("import logging\nl = logging.getLogger('mine'); l.setLevel(30)"),
        "l is logging.getLogger('mine') and l.level == 30",
    ),
    "types-without-a-name": (
        ("import types\na, b, c = type(lambda: 0), type(None), type(...)"),
        "(a, b, c) == (types.FunctionType, types.NoneType, types.EllipsisType)",
    ),
    "template-of-text": (
        ("import string\ns = string.Template('$a')"),
        "s.substitute(a=1) == '1'",
    ),
    "arguments-parser": (
        ("import argparse\np = argparse.ArgumentParser(); p.add_argument('--x', type=int)"),
        "p.parse_args(['--x', '3']).x == 3",
    ),
    "configuration": (
        ("import configparser\nc = configparser.ConfigParser(); c['a'] = {'b': '1'}"),
        "c['a'].getint('b') == 1",
    ),
    "network-addresses": (
        ("import ipaddress\na = ipaddress.ip_network('10.0.0.0/8')"),
        "a.prefixlen == 8",
    ),
    "element-tree": (
        ("import xml.etree.ElementTree as E\nt = E.fromstring('<a><b/></a>')"),
        "t[0].tag == 'b'",
    ),
    "environment-changes": (
        ("import os\nos.environ['NEW'] = 'ä'; os.environ.pop('LANG', None)"),
        "os.environ['NEW'] == 'ä' and 'LANG' not in os.environ",
    ),
    "search-path": (
        ("import sys\nsys.path.insert(1, '/somewhere')"),
        "sys.path[1] == '/somewhere'",
    ),
    "current-directory": (
        ("import os\nos.mkdir('sub'); os.chdir('sub')"),
        "os.path.basename(os.getcwd()) == 'sub'",
    ),
    "warning-filters": (
        ("import warnings\nclass W(UserWarning): ...\nwarnings.filterwarnings('error', 'abc', W)"),
        (
            "warnings.filters[0][0] == 'error' and warnings.filters[0][2] is W and "
            "warnings.filters[0][1].pattern == 'abc'"
        ),
    ),
    "recursion-limit": (
        ("import sys\nsys.setrecursionlimit(2345)"),
        "sys.getrecursionlimit() == 2345",
    ),
    "order-of-names": (
        "z = 1; a = []; m = a",
        "[n for n in globals() if n in 'zam'] == ['z', 'a', 'm']",
    ),
}
