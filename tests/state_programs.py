"""Random programs that share, change and delete; and a twin session, plain and never saved, as their oracle.

Whatever was restored must be what running the same operations from the start makes. Both tell their state in one
canonical form, in which types, order and the sharing of all that can change show.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent
from typing import Any, Final

from hypothesis import strategies as st

SETUP: Final = """
import array, collections, functools, random, types, zlib
rnd = random.Random(5)
class Obj:
    total = [0]
    def me(self): return self
    @property
    def size(self): return len(vars(self))
class Slotted:
    __slots__ = ('x', 'y')
def counter():
    n = 0
    def count():
        nonlocal n
        n += 1
    return count
def pair():
    n = []
    def put(): n.append(len(n))
    def take(): n.pop()
    return put, take
def keep(value, found=[]):
    found.append(value)
    return found
a = [1]
b = {'k': a}
c = Obj()
d, e = (a, c), bytearray(2)
"""

CANONICAL: Final = """
def canonical():
    seen, kept = {}, []
    def parts(value, kind):
        if kind is list or kind is collections.deque: return [form(each) for each in value]
        if issubclass(kind, dict): return [[form(key), form(each)] for key, each in value.items()]
        if kind is set: return sorted(value)
        if kind is bytearray: return list(value)
        if kind is array.array: return [value.typecode, value.tolist()]
        if kind is memoryview: return [form(value.obj), value.tolist()]
        if kind is types.CellType: return form(value.cell_contents)
        if kind is types.FunctionType:
            cells = [form(cell) for cell in value.__closure__ or ()]
            return [value.__name__, value.__globals__ is globals(), cells, form(value.__defaults__), form(vars(value))]
        if kind is functools.partial: return [form(value.func), form(value.args)]
        if kind is random.Random: return zlib.crc32(repr(value.getstate()).encode())
        if kind is type:
            return [value.__qualname__, form(vars(value).get('total')), [n for n in vars(value) if n[:2] != '__']]
        if kind.__name__ == 'Slotted':
            return [form(type(value)), [[name, form(getattr(value, name))] for name in 'xy' if hasattr(value, name)]]
        return [form(type(value)), [[key, form(each)] for key, each in vars(value).items()]]
    def form(value):
        kind = type(value)
        if value is None or kind in (bool, int, float, str): return repr(value)
        if kind is tuple: return ['tuple', *map(form, value)]
        if kind in (types.BuiltinMethodType, types.MethodType):
            return ['method', value.__name__, form(value.__self__)]
        if kind is type and value.__module__ != '__main__': return value.__name__
        if kind is types.ModuleType: return value.__name__
        if id(value) in seen: return seen[id(value)]
        seen[id(value)] = len(seen)
        kept.append(value)
        return [kind.__name__, parts(value, kind)]
    return repr([[name, form(each)] for name, each in globals().items() if name in %r])
""" % [*"abcde", "Obj", "Slotted", "counter", "pair", "keep", "rnd"]  # fmt: skip

_name = st.sampled_from("abcde")
_number = st.integers(0, 9)
_TEMPLATES: Final = (
    "{x} = {n}", "{x} = {n}.0", "{x} = {n} > 4", "{x} = -0.0", "{x} = 'text{n}'", "{x} = [{n}]", "{x} = {{'k': {n}}}",
    "{x} = Obj()", "{x} = Slotted()", "{x} = counter()", "{x}, {y} = pair()", "{x} = bytearray(3)", "{x} = {y}",
    "{x} = array.array('q', [{n}, 1, 2])", "{x} = {{{n}, 3}}", "{x} = ({y}, {z})", "{x} = [{y}, {z}]", "{x} = {y}[0]",
    "{x} = memoryview({y})", "{x} = {y}.append", "{x} = {y}.me", "{x} = Obj", "{x} = lambda: {y}",
    "{x} = lambda v={y}: v", "{x} = (lambda v: lambda: v)({y})", "{x} = functools.partial({y}, {z})",
    "{x} = types.SimpleNamespace(v={y})", "{x} = collections.OrderedDict(p={y}, q={n})", "{x} = rnd.random()",
    "{x} = collections.deque([{y}, {n}], 4)", "{x} = collections.defaultdict(list, k={y})", "{x} = keep({y})",
    "type({x}) is bytearray and 1/0; {x}.append({y})", "{x}[{n}] = {y}", "{x}['k'] = {y}", "{x}[{y}] = {n}",
    "{x}.x = {y}", "{x}.y = {y}", "{x}.tag = {y}", "{x}.move_to_end('p')", "{x}['k'] = {x}.pop('k')", "{x}.add({n})",
    "del {x}", "del {x}.x", "{x}.pop()", "{x}.clear()", "{x}.reverse()", "{x} += [{y}]", "{x} *= 2", "{x}()",
    "Obj.total.append({y})", "Obj.total = [{n}]", "Obj.kind = {y}", "{x}[1] = {n}", "rnd.seed({n})",
    "class Obj:\n    total = [{n}]\n    def me(self): return [self]",
    "class Obj(Obj):\n    def more(self): return super().me()",
    "def store():\n    global {x}\n    {x} = [{n}, {y}]\nstore()\ndel store",
    "def store():\n    global {x}\n    del {x}\nstore()\ndel store",
    "try:\n    {x}.append({x})\nexcept AttributeError: pass", "for {x} in [[{n}], {y}]: pass",
    "{x} = type({y})()", "{x}.__class__ = Obj",
)  # fmt: skip

statements: Final = st.builds(
    lambda template, x, y, z, n: template.format(x=x, y=y, z=z, n=n),
    st.sampled_from(_TEMPLATES), _name, _name, _name, _number,
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """An operation. It may fail: what it did before stays."""

    code: str


@dataclass(frozen=True)
class Save:
    """A checkpoint. ``durable``: it is acknowledged, so later ones may be told as differences to it."""

    durable: bool = True


@dataclass(frozen=True)
class Restore:
    """Back to the last checkpoint, in a fresh interpreter."""


Step = Run | Save | Restore


def _guarded(code: str) -> str:
    return f"try:\n{indent(code, '    ')}\nexcept Exception: pass"


_codes = st.one_of(statements, statements.map(_guarded), statements.map(_guarded))
_runs = st.lists(_codes, min_size=1, max_size=6).map(lambda lines: Run("\n".join(lines)))
_saves = st.builds(Save, st.sampled_from((True, True, True, False)))
programs: Final = st.lists(st.one_of(_runs, _runs, _saves, st.just(Restore())), min_size=2, max_size=12)


def canonical_after(history: list[str]) -> str:
    """Run operations in a plain namespace; return its state."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for code in (SETUP, CANONICAL, *history):
        try:
            exec(compile(code, "<operation>", "exec"), names)
        except Exception:
            continue
    return str(names["canonical"]())
