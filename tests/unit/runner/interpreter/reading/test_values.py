"""One variable's value as repr, as JSON, and in its richest form."""

from __future__ import annotations

import json

import pytest

from tests.unit.runner.interpreter.harness import Interpreter
from tests.unit.runner.interpreter.reading.harness import GET, Reading, value


def test_repr_is_whole(interpreter: Interpreter):
    """Not a preview: all of it, as UTF-8 text."""
    interpreter.ok("v = ['ä', list(range(1000))]")
    answer = value(interpreter, "v")
    assert answer.data.decode() == repr(["ä", list(range(1000))])
    assert answer.last["mime_type"] == "text/plain"
    assert answer.last["preview"] == answer.data.decode()[:199] + "…"
    assert answer.items["v"]["type_name"] == "list"


@pytest.mark.parametrize(
    "expression", ["'x' * 1001", "list(range(500))", "{n: n for n in range(500)}", "B()"]
)
def test_what_is_larger_than_asked_for_is_refused(interpreter: Interpreter, expression: str):
    """TOO_LARGE, and not a part of it."""
    interpreter.ok(f"class B:\n    def __repr__(self): return 'x' * 1001\nv = {expression}")
    answer = value(interpreter, "v", max_bytes=1000)
    assert (answer.last["reason"], answer.data) == ("too_large", b"")


def test_a_huge_value_is_refused_without_writing_it_down(interpreter: Interpreter):
    """A hundred million parts whose repr nobody could hold."""
    interpreter.ok("v = [None] * 10 ** 8\nw = ['x' * 10 ** 6] * 10 ** 4")
    assert value(interpreter, "v").last["reason"] == "too_large"
    assert value(interpreter, "w").last["reason"] == "too_large"
    assert value(interpreter, "w", form="json").last["reason"] == "too_large"


def test_json_is_exact(interpreter: Interpreter):
    """Of plain data, also beyond the size that an operation's result would have it."""
    interpreter.ok("v = {'a': [1, 2.5, None, True, 'ä'], 'b': ['x' * 1000] * 3000}")
    answer = value(interpreter, "v", form="json", max_bytes=8 << 20)
    assert json.loads(answer.data) == {"a": [1, 2.5, None, True, "ä"], "b": ["x" * 1000] * 3000}
    assert answer.last["mime_type"] == "application/json"
    assert value(interpreter, "v", form="json", max_bytes=1 << 20).last["reason"] == "too_large"


@pytest.mark.parametrize("expression", ["(1, 2)", "{1: 2}", "float('nan')", "object()", "[set()]", "1 + 2j"])
def test_what_is_no_json_has_none(interpreter: Interpreter, expression: str):
    """FORMAT_UNAVAILABLE, never an approximation."""
    interpreter.ok(f"v = {expression}")
    assert value(interpreter, "v", form="json").last["reason"] == "format"


def test_the_richest_form_is_chosen(rich: Interpreter):
    """HTML of a table, text of what has nothing else, a library's own type before all."""
    rich.ok(
        "import pandas\nt = pandas.DataFrame({'a': [1]})\nn = 5\n"
        "class Own:\n    def _repr_mimebundle_(self, **_):\n"
        "        return {'text/html': 'b', 'application/vnd.own+json': {'c': 1}}\no = Own()"
    )
    table = value(rich, "t", form="mime")
    assert (table.last["mime_type"], b"<table" in table.data) == ("text/html", True)
    assert value(rich, "n", form="mime").last["mime_type"] == "application/json"
    assert value(rich, "o", form="mime").last["mime_type"] == "application/vnd.own+json"


def test_a_figure_is_a_picture(rich: Interpreter):
    """Drawn by the copy; the session's figure stays as it is."""
    rich.ok(
        "import matplotlib.pyplot as plt\nfigure = plt.figure()\nfigure.add_subplot().plot([1, 2])\nplt.close()"
    )
    picture = value(rich, "figure", form="mime", max_bytes=1 << 20)
    assert (picture.last["mime_type"], picture.data[:4]) == ("image/png", b"\x89PNG")


@pytest.mark.parametrize("name", ["absent", "", "_", "__name__", "__builtins__", "a.b", "a" * 2000])
def test_what_is_not_bound_is_missing(interpreter: Interpreter, name: str):
    """The interpreter's own names are nobody's variables."""
    interpreter.ok("a = 1\na")
    assert value(interpreter, name).last["reason"] == "missing"


def test_a_private_variable_can_be_read(interpreter: Interpreter):
    """Whoever names it has asked for it."""
    interpreter.ok("_secret = 1")
    assert value(interpreter, "_secret").data == b"1"


def test_a_repr_that_fails_or_hangs_gives_no_value(interpreter: Interpreter):
    """With the reason."""
    interpreter.ok(
        "class Bad:\n    def __repr__(self): raise ValueError('no')\n"
        "class Slow:\n    def __repr__(self):\n        while True: pass\na, b = Bad(), Slow()"
    )
    assert value(interpreter, "a").last == {
        "type": "no_value",
        "reason": "failed",
        "message": "writing the value down failed: ValueError: no",
        "size": 0,
    }
    assert value(interpreter, "b", seconds=0.2).last["message"] == "it took too long to write the value down"


def test_a_preview_that_hangs_can_be_left_out(interpreter: Interpreter):
    """The supervisor asks again so, after the first reader hung in it."""
    interpreter.ok(
        "class Deadly:\n    def __repr__(self):\n        import os; os._exit(1)\n"
        "    def _repr_mimebundle_(self, **_): return {'text/plain': 'p', 'text/html': 'h'}\nd = Deadly()"
    )
    first = Reading(interpreter, {**GET, "name": "d", "form": "mime"}).finish()
    assert (first.at[-1]["name"], first.last) == ("d", {})
    second = value(interpreter, "d", form="mime", skip=["d"])
    assert (second.items["d"]["preview"], second.data) == ("<preview unavailable>", b"h")
