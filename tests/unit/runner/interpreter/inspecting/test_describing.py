"""What is told of a thing, with a real interpreter."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.runner.interpreter.harness import Interpreter
from tests.unit.runner.interpreter.inspecting.harness import inspect


def facts(interpreter: Interpreter, marked: str, **changes: Any) -> dict[str, Any]:
    """Return what is known, as data."""
    found = inspect(interpreter, marked, **changes)
    return dict(json.loads(found["application/json"])) if found else {}


def test_a_function_is_described_in_words(world: Interpreter) -> None:
    """How it is called, what it is, where it is from, and what it says of itself."""
    assert inspect(world, "gre|et")["text/plain"].decode().splitlines() == [
        "Signature:  greet(name, /, *names, loud=False, **more)",
        "Type:       functools._lru_cache_wrapper",
        "Defined in: <cell 1>, line 23",
        "",
        "Documentation:",
        "Say hello.",
    ]


def test_more_detail_is_the_source(world: Interpreter) -> None:
    """With its decorators, and of classes too."""
    assert facts(world, "greet|", detail=1)["source"] == (
        '@functools.cache\ndef greet(name, /, *names, loud=False, **more):\n    "Say hello."\n    return name\n'
    )
    ship = facts(world, "Ship|", detail=1)
    assert (ship["kind"], ship["signature"], ship["documentation"]) == (
        "class",
        "(name, *, sails=4)",
        "A ship.",
    )
    assert ship["source"].startswith("class Ship:\n    '''A ship.'''\n")
    assert ship["source"].endswith("        return to\n")
    assert (ship["file"], ship["line"]) == ("<cell 1>", 4)
    assert "source" not in facts(world, "Ship|")
    assert "def dumps(" in facts(world, "js.dumps|", detail=1)["source"]


def test_a_value_is_described(world: Interpreter) -> None:
    """By type and what it shows; plain data without the documentation of its type."""
    assert facts(world, "alphabet|") == {
        "name": "alphabet",
        "kind": "instance",
        "type_name": "str",
        "preview": "'abc'",
        "length": 3,
    }
    ship = facts(world, "fleet[7]|")
    assert ship == {}  # the cursor is behind a bracket, at no name
    ship = facts(world, "pair[0].name|")
    assert (ship["name"], ship["preview"]) == ("pair[0].name", "'Ada'")
    ship = facts(world, "ship|")
    assert (ship["type_name"], ship["documentation"], ship["file"]) == (
        "__main__.Ship",
        "A ship.",
        "<cell 1>",
    )


@pytest.mark.parametrize(
    ("marked", "name"),
    [
        ("greet(1, |", "greet"),
        ("greet(1, loud=|)", "greet"),
        ("x = ship.sail('to|', speed=2)", "ship.sail"),
        ("print(ship.sail(|))", "ship.sail"),
        ("js.dumps?|", ""),
        ("unknown|", ""),
        ("ship.nothing|", ""),
        ("|", ""),
        ("# greet|", ""),
        ("'greet|'", ""),
        ("Ship('x').sail|", "Ship('x').sail"),
    ],
)
def test_what_the_cursor_is_at_is_described(world: Interpreter, marked: str, name: str) -> None:
    """Or what is called around it, or nothing."""
    assert facts(world, marked).get("name", "") == name


def test_methods_and_modules_are_described(world: Interpreter) -> None:
    """Bound ones without what they are bound to."""
    assert facts(world, "ship.measure|")["documentation"] == "Return a length.\n\nIn units."
    assert facts(world, "ship.sail|")["signature"] == "(to, speed=5)"
    assert facts(world, "js|")["file"].endswith("/json/__init__.py")
    assert facts(world, "len|")["signature"] == "(obj, /)"
    assert "file" not in facts(world, "len|")


def test_of_two_definitions_the_newest_counts(interpreter: Interpreter) -> None:
    """Each cell has its own source."""
    interpreter.ok("class K: a = 1\ndef f(): return 1")
    interpreter.ok("class K: b = 2\ndef f(): return 2")
    assert facts(interpreter, "K|", detail=1)["source"] == "class K: b = 2\n"
    assert facts(interpreter, "f|", detail=1)["source"] == "def f(): return 2\n"


def test_tables_have_a_shape(rich: Interpreter) -> None:
    """As in listings."""
    rich.ok("import numpy as np, pandas as pd; a = np.zeros((2, 3)); t = pd.DataFrame({'x': [1]})")
    array = facts(rich, "a|")
    assert (array["shape"], array["dtype"], array["length"]) == ([2, 3], "float64", 2)
    assert "Shape:      2 × 3 float64" in inspect(rich, "a|")["text/plain"].decode()
    assert "Signature:  np.zeros(" in inspect(rich, "np.zeros|")["text/plain"].decode()
    assert facts(rich, "t.head|")["signature"].startswith("(n: ")


def test_long_texts_are_cut(interpreter: Interpreter) -> None:
    """In the middle."""
    interpreter.ok("def f(): pass\nf.__doc__ = 'a' * 1_000_000")
    found = facts(interpreter, "f|")["documentation"]
    assert len(found) < 70_000
    assert "characters left out" in found
