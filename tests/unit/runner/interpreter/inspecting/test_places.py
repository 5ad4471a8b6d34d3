"""What the cursor is at, by the text alone."""

from __future__ import annotations

import pytest
from sandbank_runner.interpreter.inspecting import places
from sandbank_runner.interpreter.inspecting.describing import expression_at
from sandbank_runner.interpreter.inspecting.places import place_of
from sandbank_runner.interpreter.inspecting.window import AFTER, BEFORE, around

from tests.unit.runner.interpreter.inspecting.harness import split


@pytest.mark.parametrize(
    ("marked", "kind", "prefix", "of"),
    [
        ("|", places.NAMES, "", ""),
        ("al|pha", places.NAMES, "al", ""),
        ("x = 1\n    al|", places.NAMES, "al", ""),
        ("f(a, b|", places.NAMES, "b", ""),
        ("a.b|", places.ATTRIBUTES, "b", "a"),
        ("a . b|", places.ATTRIBUTES, "b", "a"),
        ("a.b.c.|", places.ATTRIBUTES, "", "a.b.c"),
        ("x = -a.|", places.ATTRIBUTES, "", "a"),
        ("f(x).y|", places.ATTRIBUTES, "y", "f(x)"),
        ("(a or b).|", places.ATTRIBUTES, "", "(a or b)"),
        ("if (a).|", places.ATTRIBUTES, "", "(a)"),
        ("a[0]['x'](1).|", places.ATTRIBUTES, "", "a[0]['x'](1)"),
        ("[1, 2].|", places.ATTRIBUTES, "", "[1, 2]"),
        ("{1: 2}.|", places.ATTRIBUTES, "", "{1: 2}"),
        ("'a' \"b\".|", places.ATTRIBUTES, "", "'a' \"b\""),
        ("(a\n .b\n .|", places.ATTRIBUTES, "", "a\n .b"),
        ("not a.|", places.ATTRIBUTES, "", "a"),
        ("1 .|", places.ATTRIBUTES, "", "1"),
        ("1.|", places.NOTHING, "", ""),
        ("1..|", places.ATTRIBUTES, "", "1."),
        ("if.|", places.NOTHING, "", ""),
        ("d['k|", places.KEYS, "k", "d"),
        ('d[0]["k x|', places.KEYS, "k x", "d[0]"),
        ("d[r'k|", places.KEYS, "k", "d"),
        ("d['a', 'b|", places.NOTHING, "", ""),
        ("['k|", places.NOTHING, "", ""),
        ("f('k|", places.FILES, "k", ""),
        ("f(x, name='a/b/k|", places.FILES, "k", "a/b/"),
        ("f(['k|", places.NOTHING, "", ""),
        ("x = 'k|", places.NOTHING, "", ""),
        ("f(x + 'k|", places.NOTHING, "", ""),
        ("d['a\\|", places.NOTHING, "", ""),
        ("d[b'a|", places.NOTHING, "", ""),
        ("# a.|", places.NOTHING, "", ""),
        ("x = 1 # a\nal|", places.NAMES, "al", ""),
        ("'''a\nb.|", places.NOTHING, "", ""),
        ("'''a'''; b.|", places.ATTRIBUTES, "", "b"),
        ("'unended\nb.|", places.ATTRIBUTES, "", "b"),
        ("f'{a.|", places.ATTRIBUTES, "", "a"),
        ("f'{{a.|", places.NOTHING, "", ""),
        ("f'{x} {al|", places.NAMES, "al", ""),
        ("f'{x} al|", places.NOTHING, "", ""),
        ("import o|", places.MODULES, "o", ""),
        ("import os, sy|", places.MODULES, "sy", ""),
        ("x = 1; import os.p|", places.MODULES, "p", "os"),
        ("if x: import xml.etree.E|", places.MODULES, "E", "xml.etree"),
        ("import os as o|", places.NOTHING, "", ""),
        ("from x|", places.MODULES, "x", ""),
        ("from xml.|", places.MODULES, "", "xml"),
        ("from xml imp|", places.WORDS, "imp", ""),
        ("from xml import e|", places.MEMBERS, "e", "xml"),
        ("from xml.etree import (a,\n  b|", places.MEMBERS, "b", "xml.etree"),
        ("from os import path as p|", places.NOTHING, "", ""),
        ("from . import p|", places.NOTHING, "", ""),
        ("yield from x.|", places.ATTRIBUTES, "", "x"),
        ("def al|", places.NOTHING, "", ""),
        ("class Al|", places.NOTHING, "", ""),
        ("zähler.ö|", places.ATTRIBUTES, "ö", "zähler"),
        ("a)).b|", places.NOTHING, "", ""),
        ("$ \x00 a.|", places.ATTRIBUTES, "", "a"),
    ],
)
def test_the_cursor_is_at(marked: str, kind: str, prefix: str, of: str) -> None:
    """Whatever else stands in the code, ended or not."""
    code, cursor = split(marked)
    place = place_of(code, cursor)
    assert (place.kind, place.prefix, place.of) == (kind, prefix, of)
    assert code[place.start : cursor] == prefix


@pytest.mark.parametrize(
    ("marked", "call", "given"),
    [
        ("f(|", "f", set()),
        ("a.f(x, lo|", "a.f", set()),
        ("f(x=1, y=2, |", "f", {"x", "y"}),
        ("f(g(z=1), |", "f", {"z"}),
        ("f(g(|", "g", set()),
        ("f([|", "", set()),
        ("f(x=|", "", set()),
        ("f(1 + |", "", set()),
        ("(|", "", set()),
        ("if (|", "", set()),
        ("def f(|", "", set()),
        ("print(f)(|", "print(f)", set()),
    ],
)
def test_an_argument_may_begin(marked: str, call: str, given: set[str]) -> None:
    """Right behind the bracket or a comma of a call."""
    place = place_of(*split(marked))
    assert (place.call, set(place.given) if call else set()) == (call, given)


@pytest.mark.parametrize(
    ("marked", "expression"),
    [
        ("gr|eet", "greet"),
        ("greet|", "greet"),
        ("|greet", "greet"),
        ("a.b|.c", "a.b"),
        ("a.b.c|(1)", "a.b.c"),
        ("greet(|", "greet"),
        ("greet(1, 'x|", "greet"),
        ("greet(1, [2, |", "greet"),
        ("greet(1)|", ""),
        ("greet(x|", "x"),
        ("x + |", ""),
        ("# greet|", ""),
        ("def greet(|", ""),
        ("x = len(y) + greet|?", "greet"),
    ],
)
def test_what_is_described(marked: str, expression: str) -> None:
    """The name that the cursor touches, with what it belongs to; else what is called around it."""
    assert expression_at(*split(marked)) == expression


@pytest.mark.parametrize(
    "piece", ["x = f(1, 'a')\n", "(", "'''", "\\", "'\\", "a.", "f'{", "# ", '"', "[", "a[", "\n "]
)
def test_long_code_is_looked_at_in_part(piece: str) -> None:
    """Code of a megabyte costs no more than what is looked at."""
    code = piece * (1_000_000 // len(piece))
    part, skipped = around(code, len(code) - 10)
    assert len(part) <= BEFORE + AFTER
    assert code[skipped:].startswith(part)
    place_of(part, len(code) - 10 - skipped)
    expression_at(part, len(code) - 10 - skipped)


def test_what_is_looked_at_begins_with_a_statement() -> None:
    """A line that is not indented, so that a bracket or string of before does not count."""
    code = "def f(\n  a,\n):\n  return 1\n" * 10_000 + "x."
    part, skipped = around(code, len(code))
    assert part.startswith("def f(")
    assert code[skipped:] == part
