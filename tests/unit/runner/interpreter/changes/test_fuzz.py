"""Random programs: a report says what a full deep comparison says."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.runner.interpreter.changes.deep_comparison import difference, forms
from tests.unit.runner.interpreter.changes.observing import brief, execute, forget, not_compared
from tests.unit.runner.interpreter.harness import Interpreter

SETUP: Final = """
import copy, functools
from array import array
from collections import OrderedDict, deque
class Obj:
    total = [0]
class Sub(Obj):
    pass
class Slots:
    __slots__ = ('x', 'y')
def counter():
    n = 0
    def count():
        nonlocal n
        n += 1
    return count
def adder(to):
    return lambda part: to.append(part)
"""
NAMES: Final = ("a", "b", "c", "d")
WATCHED: Final = (*NAMES, "Obj")
HOARD: Final = """
def hoard(names):
    # Nothing that was looked at is freed before the next look: an equal object in its place would pass for it.
    import gc, sys, types
    sys.hoarded, left = [], [names[name] for name in ('a', 'b', 'c', 'd', 'Obj') if name in names]
    seen = {id(names)}
    while left:
        value = left.pop()
        if id(value) not in seen and not isinstance(value, (types.ModuleType, types.CodeType)):
            seen.add(id(value))
            sys.hoarded.append(value)
            left += [part for part in gc.get_referents(value) if part is not names and part is not vars(sys)['modules']]
import sys
sys.hoard = hoard
del hoard, sys
"""
STATEMENTS: Final = (
    "{n} = {v}", "{n} = {v}.0", "{n} = bool({v} % 2)", "{n} = -0.0", "{n} = '{v}'", "{n} = None",
    "{n} = [{v}]", "{n} = [[{v}], [{v}]]", "{n} = ({v}, [{v}])", "{n} = {{'k': {v}, 'l': []}}",
    "{n} = {{1, {v}}}", "{n} = Obj()", "{n} = Slots()", "{n} = counter()", "{n} = bytearray({v})",
    "{n} = array('q', [{v}, 1])", "{n} = OrderedDict(k={v}, l=[])", "{n} = deque([{v}, []], {v} + 2)",
    "{n} = lambda part, to=[{v}]: to.append(part)", "{n} = {m}", "{n} = [{m}, {m}]", "{n} = ({m},)",
    "{n} = dict(k={m})", "{n} = copy.copy({m})", "{n} = copy.deepcopy({m})", "{n} = memoryview({m})",
    "{n} = functools.partial(print, {m}, k={m})", "{n} = adder({m})", "{n}, {m} = {m}, {n}", "del {n}",
    "{n} += [{m}]", "{n} += {v}", "{n}.append({m})", "{n}['k'] = {m}", "{n}['l'] = {v}", "{n}.x = {m}",
    "{n}.y = {v}", "{n}.x.append({m})", "{n}.x = [{m}.x]", "{n}[0] = {m}", "{n}[0] = {v}",
    "{n}[-1].append({v})", "{n}['l'].append({v})", "del {n}[0]", "del {n}['k']", "del {n}.x", "{n}.clear()",
    "{n}.reverse()", "{n}.rotate()", "{n}.move_to_end('k')", "{n}['k'] = {n}.pop('k')", "{n}.add({v})",
    "{n}.add(({v}, 'k'))", "{n}.discard({v})", "{n}()", "{n}({v})", "{n}({m})", "{n}.note = {m}",
    "{n}.keywords['k'] = {v}", "{n}.total.append({m})", "Obj.total = [{v}]", "{n}.total = {v}",
    "{n}.__class__ = Sub", "{n}.__dict__ = {{'x': {v}}}", "{n}.__dict__ = dict({n}.__dict__)",
    "{n}.extend({m})", "{n}.insert(0, {m})", "{n}.release()",
    "def store():\n    global {n}\n    {n} = [{v}]\nstore(); del store",
    "def drop():\n    global {n}\n    del {n}\ntry: drop()\nfinally: del drop", "globals()['{n}'] = {m}",
    "exec('{n} = {v}')", "sorted([1, 2], key=lambda _: {n}.append({v}))",
)  # fmt: skip

_statements: Final = st.builds(
    lambda text, n, m, v: text.format(n=n, m=m, v=v),
    st.sampled_from(STATEMENTS),
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
    st.integers(0, 9),
)
_operations: Final = st.lists(_statements, min_size=1, max_size=6).map(
    lambda found: "\n".join(
        "try:\n    " + each.replace("\n", "\n    ") + "\nexcept Exception: pass" for each in found
    )
)
_programs: Final = st.lists(_operations, min_size=1, max_size=8)
_SETTINGS: Final[dict[str, Any]] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    "print_blob": True,
}


def play(interpreter: Interpreter, program: list[str]) -> None:
    """Run a program here and there; after each operation the report must say what the comparison here says."""
    forget(interpreter)
    execute(interpreter, HOARD + SETUP, report=False)
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(SETUP, names)
    before = forms({"Obj": names["Obj"]})
    for code in program:
        exec(compile(code, "<cell>", "exec"), names)
        after = forms({name: names[name] for name in WATCHED if name in names})
        found = execute(interpreter, f"__import__('sys').hoard(globals())\n{code}", report=True).header[
            "changes"
        ]
        assert brief(found) == " ".join(sorted(difference(before, after).split(), key=lambda each: each[1:]))
        assert not not_compared(found)
        before = after


@given(_programs)
@settings(**_SETTINGS, max_examples=60)
def test_reports_are_those_of_a_deep_comparison(plain: Interpreter, program: list[str]):
    """Of each operation of a program, with sharing, closures, views, and names bound in functions."""
    play(plain, program)


@pytest.mark.long
@pytest.mark.timeout(3600)
@given(_programs)
@settings(**_SETTINGS, max_examples=3000)
def test_reports_are_those_of_a_deep_comparison_for_long(plain: Interpreter, program: list[str]):
    """The same, many times."""
    play(plain, program)
