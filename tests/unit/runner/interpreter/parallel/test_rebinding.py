"""Functions and classes that an operation defined use the session's globals once it is merged."""

from __future__ import annotations

import pytest

from tests.unit.runner.interpreter.parallel.harness import Beside, warnings_of

BUMP = "global n\n    n += 1\n    return n"

DEFINED = {
    "function": (f"def f():\n    {BUMP}", "f()"),
    "recursion": ("def f(k=3):\n    global n\n    n += k == 3\n    return n if k == 0 else f(k - 1)", "f()"),
    "method": (f"class K:\n  def m(self):\n    {BUMP}\nk = K()", "k.m()"),
    "method of a subclass": (f"class A:\n  def m(self):\n    {BUMP}\nclass K(A): pass", "K().m()"),
    "nested class": (f"class A:\n  class K:\n   def m(self):\n    {BUMP}", "A.K().m()"),
    "staticmethod": (f"class K:\n  @staticmethod\n  def m():\n    {BUMP}", "K.m()"),
    "classmethod": (f"class K:\n  @classmethod\n  def m(cls):\n    {BUMP}", "K.m()"),
    "property": (f"class K:\n  @property\n  def m(self):\n    {BUMP}", "K().m"),
    "cached property": (
        f"import functools\nclass K:\n  @functools.cached_property\n  def m(self):\n    {BUMP}",
        "K().m",
    ),
    "special method": (f"class K:\n  def __call__(self):\n    {BUMP}\nk = K()", "k()"),
    "metaclass": (f"class M(type):\n  def m(cls):\n    {BUMP}\nclass K(metaclass=M): pass", "K.m()"),
    "closure": (f"def make():\n  def f():\n    {BUMP}\n  return f\nf = make()", "f()"),
    "closure made later": (f"def make():\n  def f():\n    {BUMP}\n  return f", "make()()"),
    "lambda": ("f = lambda: globals().__setitem__('n', n + 1) or n", "f()"),
    "default argument": (f"def g():\n    {BUMP}\ndef f(call=g): return call()\ndel g", "f()"),
    "decorated": (
        (
            "import functools\ndef deco(inner):\n  @functools.wraps(inner)\n  def outer(*a):\n    return inner(*a)\n"
            f"  return outer\n@deco\ndef f():\n    {BUMP}"
        ),
        "f()",
    ),
    "decorator that counts": (
        (
            "import functools\ndef deco(inner):\n  @functools.wraps(inner)\n  def outer(*a):\n    global n\n"
            "    n += 1\n    return inner(*a)\n  return outer\n@deco\ndef f(): return n"
        ),
        "f()",
    ),
    "partial": (f"import functools\ndef g(a):\n    {BUMP}\nf = functools.partial(g, 1)\ndel g", "f()"),
    "lru_cache": (f"import functools\n@functools.lru_cache\ndef f():\n    {BUMP}", "f()"),
    "singledispatch": (f"import functools\n@functools.singledispatch\ndef f(a):\n    {BUMP}", "f(1)"),
    "contextmanager": (
        (
            "import contextlib\n@contextlib.contextmanager\ndef c():\n  global n\n  n += 1\n  yield n\n"
            "def f():\n  with c() as v: return v"
        ),
        "f()",
    ),
    "dataclass": (
        f"import dataclasses\n@dataclasses.dataclass\nclass K:\n  a: int = 1\n  def m(self):\n    {BUMP}",
        "K().m()",
    ),
    "dataclass with a factory": (
        (
            f"import dataclasses\ndef g():\n    {BUMP}\n@dataclasses.dataclass\nclass K:\n"
            "  a: int = dataclasses.field(default_factory=g)"
        ),
        "K().a",
    ),
    "generator function": ("def g():\n  global n\n  n += 1\n  yield n\n", "next(g())"),
    "coroutine function": (f"async def g():\n    {BUMP}", "await g()"),
    "comprehension": ("def f():\n  global n\n  n += 1\n  return [n for _ in range(1)][0]", "f()"),
    "in a list": (f"def g():\n    {BUMP}\nfs = [g]\ndel g", "fs[0]()"),
    "in a dict of a dict": (f"def g():\n    {BUMP}\nd = {{'a': {{'b': g}}}}\ndel g", "d['a']['b']()"),
    "in an instance": (f"class O: pass\no = O()\ndef g():\n    {BUMP}\no.f = g\ndel g", "o.f()"),
    "with slots": (
        f"class O:\n  __slots__ = 'f'\no = O()\ndef g():\n    {BUMP}\no.f = g\ndel g",
        "o.f()",
    ),
    "in a large list": (f"def g():\n    {BUMP}\nfs = [0] * 5000 + [g]\ndel g", "fs[-1]()"),
    "bound method": (f"class K:\n  def m(self):\n    {BUMP}\nf = K().m\ndel K", "f()"),
    "patched into a module": (f"import json\ndef g():\n    {BUMP}\njson.bump = g\ndel g", "json.bump()"),
    "registered": (
        f"import weakref\nclass O: pass\no = O()\ndef g():\n    {BUMP}\nfin = weakref.finalize(o, g)\ndel g",
        "fin()",
    ),
    "made by exec": ("exec('def f():\\n    global n\\n    n += 1\\n    return n')", "f()"),
}


@pytest.mark.parametrize(("define", "call"), DEFINED.values(), ids=DEFINED)
def test_what_it_defined_is_the_sessions(beside: Beside, define: str, call: str) -> None:
    """It reads what the session's names are now, and what it writes is seen there and by the next operation."""
    beside.interpreter.ok("n = 1")
    done = beside.ok(define)
    assert warnings_of(done, "NAMES_NOT_REBOUND") == []
    beside.interpreter.ok("n = 10")
    assert beside.interpreter.ok(call).text == "11"
    assert beside.interpreter.ok("n").text == "11"
    assert beside.interpreter.ok("helper = 1; del n, helper; n = 5; n").text == "5"


def test_identities_stay(beside: Beside) -> None:
    """Of classes with their instances, and of functions wherever they were put: there is one of each."""
    beside.ok("class K: pass\nk = K()\ndef f(): pass\nfs = [f]\nalias = f\nK.f = f")
    code = "type(k) is K, fs[0] is f, alias is f, K.f is f, f.__globals__ is globals()"
    assert beside.interpreter.ok(code).text == "(True, True, True, True, True)"


def test_they_see_each_other_across_operations(beside: Beside) -> None:
    """Two that were defined beside each other, after both were merged."""
    one = beside.begin("def even(k): return k == 0 or odd(k - 1)")
    other = beside.begin("def odd(k): return k != 0 and even(k - 1)")
    assert beside.finish(one).ok
    assert beside.finish(other).ok
    assert beside.ok("even(10)").text == "True"


def test_classes_pickle_by_name(beside: Beside) -> None:
    """Already in the operation that defines them: ``__main__`` is its own copy of the names for it."""
    code = "import pickle, __main__\nclass K: pass\nk = pickle.loads(pickle.dumps(K()))\ntype(k) is K, __main__.K is K"
    assert beside.ok(code).text == "(True, True)"
    assert beside.interpreter.ok("pickle.loads(pickle.dumps(k)).__class__ is K").text == "True"
    assert beside.interpreter.ok("import sys; type(sys.modules['__main__']).__name__").text == "'module'"


def test_started_generators_are_named(beside: Beside) -> None:
    """They go on with the names as they were when the operation ended; the function that made them does not."""
    beside.interpreter.ok("n = 1")
    done = beside.ok("def g():\n  while True: yield n\nheld = g()\nnext(held)")
    assert warnings_of(done, "NAMES_NOT_REBOUND") == ["held"]
    assert beside.interpreter.ok("n = 2\nnext(held), next(g())").text == "(1, 2)"


def test_what_an_operation_left_running_is_named(beside: Beside) -> None:
    """A thread in a function that it defined: the call that runs keeps its names, the next one has the session's."""
    beside.interpreter.ok("import threading\ngo = threading.Event()\nseen = []\nn = 1")
    code = "def work():\n  go.wait()\n  seen.append(n)\nt = threading.Thread(target=work)\nt.start()"
    assert warnings_of(beside.ok(code), "NAMES_NOT_REBOUND") == ["work"]
    assert beside.interpreter.ok("n = 2\ngo.set()\nt.join()\nwork()\nseen").text == "[1, 2]"


def test_a_traceback_that_was_kept_can_be_looked_at(beside: Beside) -> None:
    """Frames point to the names of their operation: those outlive it as long as the frames do."""
    beside.ok("def f(): 1/0\ntry: f()\nexcept ZeroDivisionError as e: kept = e")
    code = "import traceback, gc\ngc.collect()\n''.join(traceback.format_exception(kept))[-40:-1]"
    assert "ZeroDivisionError" in (beside.interpreter.ok(code).text or "")
    code = "tb = kept.__traceback__.tb_next\ntype(tb.tb_frame.f_globals), tb.tb_frame.f_code.co_name"
    assert beside.interpreter.ok(code).text == "(<class 'dict'>, 'f')"


def test_globals_that_were_kept_are_the_sessions(beside: Beside) -> None:
    """``globals()`` bound to a name is the session's dictionary afterwards."""
    beside.ok("g = globals()")
    assert beside.interpreter.ok("g is globals()").text == "True"


def test_nothing_is_kept_of_merged_operations(beside: Beside) -> None:
    """Hundreds of functions defined and dropped, and objects replaced: the process holds on to none of it."""
    beside.interpreter.ok("import gc, weakref\nclass O: pass\nrefs = []")
    for number in range(60):
        beside.ok(f"o = O(); refs.append(weakref.ref(o))\ndef f(): return {number}, o")
    beside.ok("class K:\n  def m(self): return o\nk = K()")
    beside.interpreter.ok("gc.collect();")
    assert beside.interpreter.ok("sum(r() is not None for r in refs)").text == "1"
    beside.interpreter.ok("del o, f, K, k; gc.collect();")
    assert beside.interpreter.ok("sum(r() is not None for r in refs)").text == "0"
    code = "gc.collect()\nfrom sandbank_runner.interpreter.parallel import retained\nlen(retained._all)"
    assert beside.interpreter.ok(code).text == "0"


def test_nothing_is_kept_of_failed_operations(beside: Beside) -> None:
    """What they bound ends with them, and what their objects write at their end is theirs."""
    done = beside.run("class O:\n  def __del__(self): print('gone')\no = O()\ndef f(): return 1\n1/0")
    assert not done.ok
    code = "import gc\ngc.collect()\n[o for o in gc.get_objects() if type(o).__name__ == 'O']"
    assert beside.interpreter.ok(code).text == "[]"
    done = beside.run(
        "class O:\n  def __del__(self): pass\nx = O.__del__\nimport json\ndel O, x\no = [print]\n1/0"
    )
    assert not done.ok
