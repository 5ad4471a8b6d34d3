"""What completes code, with a real interpreter."""

from __future__ import annotations

import pytest

from tests.unit.runner.interpreter.harness import Interpreter
from tests.unit.runner.interpreter.inspecting.harness import complete, matches


@pytest.mark.parametrize(
    ("marked", "made"),
    [
        ("alp|", ["alpha", "alphabet"]),
        ("x = alp|ha", ["x = alpha", "x = alphabet"]),
        ("_b|", ["_beta"]),
        ("ship.na|", ["ship.name"]),
        ("ship._l|", ["ship._log"]),
        ("ship.name.upp|", ["ship.name.upper"]),
        ("pair[0].sa|", ["pair[0].sail"]),
        ("pair[-1].upp|", ["pair[-1].upper"]),
        ("fleet['inner']['d|", ["fleet['inner']['deep']"]),
        ("fleet['A|", ["fleet['Ada Lovelace']"]),
        ('fleet["A|"]', ['fleet["Ada Lovelace']),
        ("fleet['Ada L|]", ["fleet['Ada Lovelace'"]),
        ("fleet['b|", ["fleet['bob\\'s']"]),
        ('fleet["b|', ['fleet["bob\'s"]']),
        ('fleet["say |', ['fleet["say \\"x\\""]']),
        ('fleet[r"say |', []),
        ("fleet['Ada Lovelace'].dep|", ["fleet['Ada Lovelace'].depth"]),
        ("Ship('x').sa|", ["Ship('x').sail"]),
        ("Ship.lau|", ["Ship.launch"]),
        ("Ship.launch('x').nam|", []),
        ("Ship.launch('x').sai|", ["Ship.launch('x').sail"]),
        ("'a'.upp|", ["'a'.upper"]),
        ("[].app|", ["[].append"]),
        ("f'{ship.na|", ["f'{ship.name"]),
        ("js.dump|", ["js.dump", "js.dumps"]),
        ("os.path.isf|", ["os.path.isfile"]),
        ("point.x|", ["point.x"]),
        ("greet(lou|", ["greet(loud="]),
        ("ship.sail('x', sp|", ["ship.sail('x', speed="]),
        ("Ship(sai|", ["Ship(sails="]),
        ("Ship(sails=1, sai|", []),
        ("import jso|", ["import json"]),
        ("import xml.etree.ElementT|", ["import xml.etree.ElementTree"]),
        ("from xml.sa|", ["from xml.sax"]),
        ("from xml.dom imp|", ["from xml.dom import"]),
        ("from wave import Wave_r|", ["from wave import Wave_read"]),
        ("from xml.etree import ElementT|", ["from xml.etree import ElementTree"]),
        ("nonloc|", ["nonlocal"]),
        ("isinst|", ["isinstance"]),
        ("for boat in x:\n    boa|", ["for boat in x:\n    boat"]),
        ("def f(boat, *, sea=1):\n    boa|", ["def f(boat, *, sea=1):\n    boat"]),
        ("anchor = 1; anch|", ["anchor = 1; anchor"]),
        ("nothing.|", []),
        ("nothing['|", []),
        ("alpha.nothing.|", []),
        ("(1/0).|", []),
        ("import nothing.|", []),
        ("from nothing import |", ["from nothing import *"]),
    ],
)
def test_code_is_completed(world: Interpreter, marked: str, made: list[str]) -> None:
    """To what it would be with each match."""
    assert complete(world, marked) == made


def test_without_a_beginning_what_is_the_sessions_comes(world: Interpreter) -> None:
    """Sorted, and neither builtins nor what begins with an underscore."""
    assert [text for text in complete(world, "|") if not text.startswith(("js", "os", "xml"))] == [
        *["Ship", "alpha", "alphabet", "collections", "fleet", "functools", "greet", "pair", "point", "ship"]
    ]
    assert complete(world, "ship.|") == [
        f"ship.{name}" for name in ("depth", "launch", "masts", "measure", "name", "sail")
    ]
    assert complete(world, "fleet[|")[:5] == [
        *["fleet['Ada Lovelace']", 'fleet["bob\'s"]', "fleet['say \"x\"']", "fleet[7]", "fleet['inner']"]
    ]
    assert "ship.__class__" in complete(world, "ship.__c|")


def test_matches_say_what_they_are(world: Interpreter) -> None:
    """A property is not asked, functions have signatures, methods without what they are bound to."""
    found = matches(world, "ship.|")
    assert found["depth"] == ("property", "")
    assert found["name"] == ("instance", "")
    assert found["sail"] == ("function", "(to, speed=5)")
    assert found["launch"] == ("function", "(place) -> 'Ship'")
    assert found["measure"] == ("function", "(unit: str = 'm')")
    assert matches(world, "Ship.sa|") == {"sail": ("function", "(self, to, speed=5)")}
    assert matches(world, "'a'.encod|") == {"encode": ("function", "(encoding='utf-8', errors='strict')")}
    assert matches(world, "Shi|") == {"Ship": ("class", "(name, *, sails=4)")}
    assert matches(world, "j|") == {"js": ("module", "")}
    assert matches(world, "nonloc|") == {"nonlocal": ("keyword", "")}
    assert matches(world, "gree|") == {"greet": ("function", "(name, /, *names, loud=False, **more)")}
    assert matches(world, "greet(lou|") == {"loud=": ("param", "")}


def test_there_is_an_end_to_matches(interpreter: Interpreter) -> None:
    """A thousand, the best."""
    interpreter.ok("globals().update({f'name{number:05}': number for number in range(30_000)})")
    assert complete(interpreter, "name|") == [f"name{number:05}" for number in range(1000)]
    interpreter.ok("d = {f'key{number:05}': number for number in range(30_000)}")
    assert len(complete(interpreter, "d['key|")) == 1000


def test_modules_of_the_workspace_are_found(interpreter: Interpreter) -> None:
    """As they would be imported, without importing them."""
    interpreter.workspace.joinpath("harbour.py").write_text("raise SystemExit('imported')\n")
    package = interpreter.workspace / "charts"
    package.mkdir()
    package.joinpath("__init__.py").write_text("depth = 3\n")
    package.joinpath("tides.py").write_text("1 / 0\n")
    interpreter.workspace.joinpath("notes").mkdir()
    assert complete(interpreter, "import harb|") == ["import harbour"]
    assert complete(interpreter, "import charts.t|") == ["import charts.tides"]
    assert complete(interpreter, "from charts import dep|") == ["from charts import depth"]
    assert complete(interpreter, "from charts import ti|") == ["from charts import tides"]
    assert complete(interpreter, "import note|") == []
    assert interpreter.ok("import sys; 'charts' in sys.modules").text == "False"


def test_files_are_found(interpreter: Interpreter) -> None:
    """In strings that are arguments, by way of directories."""
    (interpreter.workspace / "data" / "raw").mkdir(parents=True)
    (interpreter.workspace / "data" / "depths.csv").touch()
    (interpreter.workspace / "dates.txt").touch()
    assert complete(interpreter, "open('da|") == ["open('data/", "open('dates.txt"]
    assert complete(interpreter, "open('data/|") == ["open('data/depths.csv", "open('data/raw/"]
    assert complete(interpreter, "open('nowhere/|") == []
    assert complete(interpreter, "x = 'da|") == []


def test_objects_with_many_attributes_take_no_longer(interpreter: Interpreter) -> None:
    """Nobody copies what they hold for each of them."""
    interpreter.ok("class K: pass\nk = K()\nk.__dict__.update({f'name{n:06}': n for n in range(100_000)})")
    assert len(complete(interpreter, "k.name|")) == 1000


def test_libraries_are_completed(rich: Interpreter) -> None:
    """Columns as attributes and as keys, functions of C."""
    rich.ok(
        "import numpy as np, pandas as pd; t = pd.DataFrame({'depth': [1], 'wave height': [2]}); a = np.zeros(2)"
    )
    assert complete(rich, "t.dept|") == ["t.depth"]
    assert complete(rich, "t['wa|") == ["t['wave height']"]
    assert complete(rich, "t.depth.mea|") == ["t.depth.mean"]
    assert complete(rich, "a.resh|") == ["a.reshape"]
    assert complete(rich, "t.groupby('depth', as_ind|") == ["t.groupby('depth', as_index="]
    assert matches(rich, "np.add|")["add"][0] == "function"
    assert len(complete(rich, "np.|")) > 400
    rich.ok("r = np.zeros(1, dtype=[('east', int), ('north', int)])")
    assert complete(rich, "r['e|") == ["r['east']"]
