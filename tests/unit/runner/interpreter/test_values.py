"""What a cell's last expression becomes."""

from __future__ import annotations

import pytest

from tests.unit.runner.interpreter.harness import Interpreter

VALUES = [
    ("1 + 1", "2"),
    ("x = 3\nx", "3"),
    ("x = 3", None),
    ("", None),
    ("   \n# only a comment\n", None),
    ("None", None),
    ("'text'", "'text'"),
    ("'only a string'  # and not a docstring", "'only a string'"),
    ("1;", None),
    ("1 ; # quiet", None),
    ("1; 2", "2"),
    ("1; 2;", None),
    ("';'", "';'"),
    ("(\n  1,\n  2,\n)\n", "(1, 2)"),
    ("'äöü'; 'ä'", "'ä'"),
    ("'äöü';", None),
    ("x = 5 ; x", "5"),
    ("if True:\n    7", None),
    ("for i in range(3): i", None),
    ("def f(): return 8\nf()", "8"),
    ("x = [1]\nx.append(2)\nx\n\n\n# end", "[1, 2]"),
    ("lambda: 0", "<function <lambda> at "),
    ("...", "Ellipsis"),
    ("float('nan')", "nan"),
    ("[float('inf')]", "[inf]"),
    ("class C: pass\nC", "<class '__main__.C'>"),
    ("2 ** 200000", "<repr failed: ValueError: Exceeds the limit"),
    ("'lone \\ud800'", "'lone \\ud800'"),
]


@pytest.mark.parametrize(("code", "text"), VALUES)
def test_the_last_expression_is_the_result(interpreter: Interpreter, code: str, text: str | None) -> None:
    """Plain text of the last expression's value; nothing for None, a statement, or after a semicolon."""
    found = interpreter.ok(code).text
    assert (found is None) == (text is None)
    assert (found or "").startswith(text or "")


def test_underscore_is_the_last_value_unless_user_code_has_taken_the_name(interpreter: Interpreter) -> None:
    """As in notebooks: kept over cells without a value, and never written over a name of the user's."""
    interpreter.ok("40 + 2")
    interpreter.ok("x = 1")
    assert interpreter.ok("_").text == "42"
    interpreter.ok("'quiet';")
    assert interpreter.ok("_ + 1").text == "43"
    interpreter.ok("_ = 'mine'")
    interpreter.ok("5")
    assert interpreter.ok("_").text == "'mine'"
    interpreter.ok("del _")
    interpreter.ok("6")
    assert interpreter.ok("_").text == "6"


def test_state_and_future_imports_live_on(interpreter: Interpreter) -> None:
    """One namespace for all cells; a future feature that one cell has switched on holds in the next."""
    interpreter.ok("from __future__ import annotations\nvalue = 10")
    assert interpreter.ok("def f(a: no_such_name): return value\nf(0)").text == "10"


def test_plain_text_is_bounded(interpreter: Interpreter) -> None:
    """A huge value is cut, and says how large it was; its JSON is left out."""
    done = interpreter.ok("'x' * 5_000_000")
    text = done.result["text/plain"]
    assert len(text) < 1_100_000
    assert text.endswith(b"(5000002 bytes in all)")
    assert "application/json" not in done.result


def test_a_repr_that_fails_costs_only_itself(interpreter: Interpreter) -> None:
    """The operation succeeds; the text says what went wrong."""
    broken = "class Broken:\n    def __repr__(self): {}\nBroken()"
    assert interpreter.ok(broken.format("raise KeyError('k')")).text == "<repr failed: KeyError: 'k'>"
    assert "TypeError" in (interpreter.ok(broken.format("return 5")).text or "")
    assert "RecursionError" in (interpreter.ok(broken.format("return repr(self)")).text or "")
    assert interpreter.ok("class E(Exception):\n    def __str__(self): raise self").ok
    assert interpreter.ok(broken.format("raise E()")).text == "<repr failed: E>"


def test_a_repr_that_ends_the_code_ends_the_operation(interpreter: Interpreter) -> None:
    """SystemExit out of a ``__repr__`` is no failure of formatting."""
    done = interpreter.run("class Exit:\n    def __repr__(self): raise SystemExit(3)\nExit()")
    assert done.error["type_name"] == "SystemExit"
    assert interpreter.ok("1").text == "1"


def test_usage_is_measured(interpreter: Interpreter) -> None:
    """Processor time of the operation with its children, and the peak of memory."""
    idle = interpreter.ok("import time; time.sleep(0.05)").header
    assert idle["cpu_seconds"] < 0.04
    busy = "import time\nend = time.process_time() + 0.1\nwhile time.process_time() < end: pass"
    assert 0.09 < interpreter.ok(busy).header["cpu_seconds"] < 1
    child = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy!r}])"
    header = interpreter.ok(child).header
    assert 0.09 < header["cpu_seconds"] < 2
    large = interpreter.ok("data = bytearray(b'x' * 80_000_000)").header["peak_memory_bytes"]
    assert large - header["peak_memory_bytes"] > 70_000_000
