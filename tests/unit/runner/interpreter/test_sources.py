"""From source to code: what is accepted, and how what is not is told."""

from __future__ import annotations

from typing import Any

import pytest
from sandbank_runner.interpreter.source import Sources

from tests.unit.runner.interpreter.harness import Interpreter

SYNTAX_ERRORS: list[tuple[str | bytes, dict[str, Any]]] = [
    ("x = = 1", {"line": 1, "column": 5, "text": "x = = 1"}),
    ("a = 1\nb = (\n", {"line": 2, "column": 5, "text": "b = ("}),
    ("if True:\nx", {"line": 2, "column": 1, "text": "x"}),
    ("  indented = 1", {"line": 1, "text": "  indented = 1"}),
    ("s = 'open", {"line": 1, "column": 5}),
    ("return 1", {"line": 1, "column": 1}),
    ("yield 1", {"line": 1, "column": 1}),
    ("x = 1\ny = '\0'", {"line": 2, "column": 6, "text": "y = '"}),
    ("a = 1\n\0", {"line": 2, "column": 1}),
    (b"a = 1\nb = '\xff'", {"line": 2, "column": 6}),
    ("a = '\ud800'", {"line": 1, "column": 6}),
    ("ä = 'ö' ü", {"line": 1, "column": 9, "text": "ä = 'ö' ü"}),
    ("a = 1\r\nb = = 2\r\n", {"line": 2, "column": 5, "text": "b = = 2"}),
    ("f(**x, *y)", {"line": 1}),
    ("(" * 300, {"line": 1}),
]


@pytest.mark.parametrize(("code", "detail"), SYNTAX_ERRORS, ids=lambda value: None)
def test_a_syntax_error_says_where(
    interpreter: Interpreter, code: str | bytes, detail: dict[str, Any]
) -> None:
    """Line and column count from 1, the text is the user's line; nothing of the cell has run."""
    done = interpreter.run(code)
    error = done.error
    assert error["type_name"] in ("SyntaxError", "IndentationError")
    assert {key: error["syntax_error"][key] for key in detail} == detail
    assert error["frames"] == []
    assert not error["traceback_text"].startswith("Traceback")
    assert "sandbank_runner" not in error["traceback_text"]
    assert interpreter.ok("'a' in globals()").text == "False"


ACCEPTED = [
    ("windows lines", "a = 1\r\nif a:\r\n    a += 1\r\na\r\n", "2"),
    ("old Mac lines", "a = 1\ra", "1"),
    ("line ends in strings", "len('''a\r\nb''')", "3"),
    ("form feed", "a = 1\n\x0c\na", "1"),
    ("encoding declaration", "# -*- coding: latin-1 -*-\n'ä'", "'ä'"),
    ("unknown encoding declaration", "# -*- coding: no-such -*-\n'ä'", "'ä'"),
    ("byte order mark", "\ufeff1 + 1", "2"),
    ("no line end", "3", "3"),
    ("line separators in strings", "len('\u2028\x0b')", "2"),
    ("continued", "1 + \\\n2", "3"),
]


@pytest.mark.parametrize(("code", "text"), [row[1:] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_source_is_read_as_python_reads_files(interpreter: Interpreter, code: str, text: str) -> None:
    """UTF-8, whatever a declaration says; all kinds of line ends."""
    assert interpreter.ok(code).text == text


DEEP = [
    "-" * 20_000 + "1",
    "+".join(["1"] * 20_000),
    "a" + ".b" * 20_000,
    "[" * 190 + "]" * 190,
    "x = " + "(" * 150 + "1" + ")" * 150,
    "if 1:\n" + "".join(" " * depth + "if 1:\n" for depth in range(1, 99)) + " " * 99 + "pass",
    "not " * 20_000 + "1",
    "f" + "()" * 20_000,
]


@pytest.mark.parametrize("code", DEEP, ids=range(len(DEEP)))
def test_nesting_beyond_the_compiler_is_an_error_of_the_cell(interpreter: Interpreter, code: str) -> None:
    """Whatever the compiler makes of it, the session goes on."""
    done = interpreter.run(code)
    if not done.ok:
        assert done.error["type_name"] in ("RecursionError", "MemoryError", "SyntaxError", "NameError")
        assert "sandbank_runner" not in done.error["traceback_text"]
    assert interpreter.ok("1").text == "1"


def _large(tail: str) -> str:
    return "x = 0\n" * 20_000 + tail


LARGE = [
    (_large("x + 7"), "7", 0),
    (_large("x + 7;"), None, 0),
    (_large("x = 5"), None, 0),
    (_large("x = 5; x"), "5", 0),
    (_large("(\n  x,\n)\n# end"), "(0,)", 0),
    (_large("[\n1,\n2\n]"), "[1, 2]", 0),
    (_large("'''\nx\n'''\n"), "'\\nx\\n'", 0),
    (_large("if x:\n    pass\nelse:\n    x = 9\nx"), "9", 0),
    (_large("def f():\n    return 3\n\nf()\n\n"), "3", 0),
    (_large("try:\n    1/0\nexcept ZeroDivisionError:\n    x = 4\n"), None, 0),
    (_large("import asyncio\nawait asyncio.sleep(0, 6)"), "6", 0),
    (_large("1/0"), "ZeroDivisionError", 20_001),
    (_large("x = 1\ny = = 2"), "SyntaxError", 20_002),
]


@pytest.mark.parametrize(("code", "text", "line"), LARGE, ids=range(len(LARGE)))
def test_a_large_cell_behaves_as_a_small_one(
    interpreter: Interpreter, code: str, text: str | None, line: int
) -> None:
    """It is compiled another way, which must not show: value, silence, line numbers."""
    done = interpreter.run(code)
    if not line:
        assert done.ok, done.error["traceback_text"]
        assert done.text == text
        return
    assert done.error["type_name"] == text
    detail = done.error["syntax_error"]
    assert (detail["line"] if detail else done.error["frames"][0]["line_number"]) == line


def test_a_large_cell_is_compiled_without_a_tree_of_it_all() -> None:
    """Where its last statement begins with its last unindented line, only that one is made a tree of."""
    for tail in ("x", "x;", "f(\n  x,\n)", "x = 1", "if x:\n    pass\nx"):
        parts = Sources()._compile_large(_large(tail), "<cell 1>")
        assert parts is not None, tail
        assert parts[0] is not None
        assert (parts[1] is not None) == (tail not in ("x;", "x = 1"))


def test_source_is_there_for_inspect_and_tracebacks(interpreter: Interpreter) -> None:
    """``inspect.getsource`` of a function of an earlier cell, with the line breaks that Python counts."""
    interpreter.ok("s = '\x0b \u2028'\n\ndef f(a):\n    return a + 1\n")
    assert interpreter.ok("import inspect\ninspect.getsource(f)").text == repr(
        "def f(a):\n    return a + 1\n"
    )
    assert interpreter.ok("f.__code__.co_filename").text == "'<cell 1>'"
    frames = interpreter.run("f('')").error["frames"]
    assert [(frame["file_name"], frame["line_number"], frame["source_line"]) for frame in frames] == [
        ("<cell 4>", 1, "f('')"),
        ("<cell 1>", 4, "return a + 1"),
    ]


def test_warnings_name_the_cell(interpreter: Interpreter) -> None:
    """Of the compiler and of code alike, once."""
    done = interpreter.ok("import warnings\nwarnings.simplefilter('always')")
    done = interpreter.ok("1 is 1")
    assert done.stderr.count("SyntaxWarning") == 1
    assert "<cell 2>:1" in done.stderr
    assert "1 is 1" in done.stderr
