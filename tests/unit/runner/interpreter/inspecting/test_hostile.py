"""Code of the user's that a question runs: it costs time, within bounds, and what it alone could say."""

from __future__ import annotations

import pytest

from tests.unit.runner.interpreter.harness import Interpreter
from tests.unit.runner.interpreter.inspecting.harness import ask, complete, inspect
from tests.unit.runner.interpreter.snapshots.harness import Timeline

HOSTILE = """
import os
def forever():
    while True: pass
class Names:
    known = 1
    def __dir__(self): forever()
class Attributes:
    known = 1
    def __getattr__(self, name): forever()
class Liar:
    known = 1
    def __dir__(self): return [1, "no name", "known", type("S", (str,), {})("s"), "x" * 5000, "\\ud800"]
class Property:
    @property
    def deep(self): os._exit(3)
    @property
    def __class__(self): os._exit(3)
class Keys(dict):
    def __iter__(self): forever()
    def keys(self): forever()
class Endless:
    def keys(self):
        while True: yield "key"
class Signed:
    @property
    def __signature__(self): os._exit(3)
    def __call__(self): pass
class Meta(type):
    def __eq__(self, other): os._exit(3)
    def __hash__(self): os._exit(3)
    def __instancecheck__(self, other): os._exit(3)
    def __dir__(self): raise KeyError
class Odd(metaclass=Meta):
    known = 1
    __doc__ = property(lambda self: 1 / 0)
    def __repr__(self): raise SystemExit
names, attributes, liar, prop, keys, endless, signed, odd = (
    Names(), Attributes(), Liar(), Property(), Keys(k=1), Endless(), Signed(), Odd()
)
"""


@pytest.fixture
def hostile(interpreter: Interpreter) -> Interpreter:
    """All of it."""
    interpreter.ok(HOSTILE)
    return interpreter


@pytest.mark.parametrize(
    ("marked", "made"),
    [
        ("names.kno|", ["names.known"]),
        ("attributes.kno|", ["attributes.known"]),
        ("attributes.deep.kno|", []),
        ("liar.|", ["liar.known"]),
        ("keys['|", ["keys['k']"]),
        ("endless['|", ["endless['key']"]),
        ("signe|", ["signed"]),
        ("odd.kno|", ["odd.known"]),
        ("Odd.kno|", ["Odd.known"]),
    ],
)
def test_what_can_be_seen_without_it_is_told(hostile: Interpreter, marked: str, made: list[str]) -> None:
    """It hangs, raises, lies: then what lies in the object and its class is told."""
    assert complete(hostile, marked) == made


def test_the_process_that_it_ends_has_said_nothing(hostile: Interpreter) -> None:
    """Who asks can ask again, for what takes no code of the user's."""
    for marked in ("prop.deep.x|", "prop.de|", "Odd(kno|"):
        answer = ask(hostile, "complete", marked)
        assert (answer.status >> 8, answer.last) == (3, {})
    assert complete(hostile, "prop.deep.x|", bare=True) == []
    assert complete(hostile, "prop.de|", bare=True) == ["prop.deep"]
    assert complete(hostile, "Odd(kno|", bare=True) == []
    assert complete(hostile, "odd.kno|", bare=True) == ["odd.known"]
    assert complete(hostile, "keys['|", bare=True) == ["keys['k']"]
    assert complete(hostile, "attributes.__di|", bare=True) == ["attributes.__dict__", "attributes.__dir__"]
    assert complete(hostile, "from os import getpi|", bare=True) == ["from os import getpid"]
    assert complete(hostile, "import jso|", bare=True) == ["import json"]


def test_a_description_goes_without_what_it_would_say(hostile: Interpreter) -> None:
    """An error in its text or documentation costs that."""
    assert b"Type:       __main__.Odd" in inspect(hostile, "odd|")["text/plain"]
    assert b"Type:       __main__.Signed" in inspect(hostile, "signed|", bare=True)["text/plain"]
    assert inspect(hostile, "attributes.deep|") == {}
    assert b"Type:       __main__.Names" in inspect(hostile, "names|")["text/plain"]


def test_nothing_of_the_session_changes(interpreter: Interpreter) -> None:
    """Questions are answered by a copy."""
    interpreter.ok(
        "n = 0\nclass Counts:\n    @property\n    def more(self):\n        global n\n"
        "        n += 1\n        return self\n"
        "c = Counts()"
    )
    assert complete(interpreter, "c.more.mor|") == ["c.more.more"]
    assert interpreter.ok("n").text == "0"


def test_replaced_builtins_are_survived(interpreter: Interpreter) -> None:
    """The answer needs none of them."""
    interpreter.ok("import builtins\nalpha = 'a'\nvars(builtins).clear()")
    assert complete(interpreter, "alph|") == ["alpha"]
    assert complete(interpreter, "alpha.uppe|") == ["alpha.upper"]
    assert b"Type:       str" in inspect(interpreter, "alpha|")["text/plain"]


def test_a_sleeping_snapshot_answers_too(timeline: Timeline) -> None:
    """Of the state that it was made of."""
    timeline.ok("alpha = 1")
    sleeper = timeline.snapshot()
    timeline.ok("alphabet = 2")
    assert complete(timeline.interpreter, "alph|", sleeper=sleeper) == ["alpha"]
    assert complete(timeline.interpreter, "alph|") == ["alpha", "alphabet"]
