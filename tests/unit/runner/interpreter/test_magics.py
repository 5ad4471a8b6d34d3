"""Cells in IPython's syntax."""

from __future__ import annotations

import os
import re

import pytest

from tests.unit.runner.interpreter.harness import Interpreter

OUTPUTS = [
    ("!echo hi", "hi\n"),
    ("x = 'y'\n!echo $x {x + 'z'}", "y yz\n"),
    ("!echo a; false", "a\n"),
    ("!echo out; echo err >&2", "out\n"),
    ("print('1')\n!echo 2\nprint('3')", "1\n2\n3\n"),
    ("for n in range(2):\n    !echo $n", "0\n1\n"),
    ("lines = !echo a; echo b\nprint(list(lines))", "['a', 'b']\n"),
    ("!cat", ""),
    ("%%bash\necho $((3 + 4))\ncat <<END\nx\nEND", "7\nx\n"),
    ("%%sh\nprintf part", "part"),
    ("%%script bash -e\necho script", "script\n"),
    ("%%bash --out found\necho kept", ""),
    ("%%bash --out found\necho kept\n", ""),
    ("%%python\nprint(6)", "6\n"),
    ("%%writefile made.txt\nline one\nline two", "Writing made.txt\n"),
    ("%env SANDBANK_TEST=5\n!echo $SANDBANK_TEST", "env: SANDBANK_TEST=5\n5\n"),
    ("%matplotlib inline", ""),
    ("def f():\n    %pwd\n    return 1\nprint(f())", "1\n"),
    ("%%capture out\nprint('caught')\n1", ""),
    ("%%capture out\nprint('caught')\n\nout2 = 5", ""),
]


@pytest.mark.parametrize(("code", "out"), OUTPUTS)
def test_commands_and_scripts_write_to_the_session(rich: Interpreter, code: str, out: str) -> None:
    """In order, without a thread of ours, and the plain cells after it are plain."""
    assert rich.ok(code).stdout == out
    assert rich.thread_count() == 1
    assert rich.ok("1 + 1").text == "2"


VALUES = [
    ("%time 1 + 1", "2"),
    ("%%time\nx = 20\nx + 1", "21"),
    ("x = %pwd\nimport os\nx == os.getcwd()", "True"),
    ("%timeit -n1 -r1 pass", None),
    ("get_ipython().__class__.__name__", "'SessionShell'"),
    ("from IPython import get_ipython\nget_ipython() is not None", "True"),
    ("get_ipython().user_ns is globals()", "True"),
    ("?int", None),
    ("int??", None),
    ("% ", "SyntaxError"),
]


@pytest.mark.parametrize(("code", "text"), VALUES)
def test_magics_have_values(rich: Interpreter, code: str, text: str | None) -> None:
    """As the last expression of the cell, or assigned."""
    done = rich.run(code)
    if text == "SyntaxError":
        assert not done.ok
    else:
        assert done.ok, done.error["traceback_text"]
        assert done.text == text


def test_a_magic_changes_the_session(rich: Interpreter) -> None:
    """Directory, environment, names and files."""
    (rich.workspace / "sub").mkdir()
    (rich.workspace / "sub" / "script.py").write_text("ran = __name__, __file__\n")
    assert rich.ok("%cd sub").stdout.strip() == str(rich.workspace / "sub")
    assert rich.ok("import os\nos.getcwd()").text == repr(str(rich.workspace / "sub"))
    rich.ok("%run script.py")
    assert rich.ok("ran[0]").text == "'__main__'"
    assert rich.ok("__name__, '__file__' in globals()").text == "('__main__', False)"
    assert rich.ok("import sys\nsys.modules['__main__'].__dict__ is globals()").text == "True"
    assert "ran" in rich.ok("%who").stdout.split()
    assert rich.ok("%%capture caught\nprint('out')\ndisplay(5)\n6").stdout == ""
    assert rich.ok("caught.stdout, len(caught.outputs)").text == "('out\\n', 2)"


def test_help_is_displayed(rich: Interpreter) -> None:
    """What IPython would page through comes as a display."""
    rich.ok("def documented(a):\n    'What it does.'\n    return a")
    done = rich.ok("documented?")
    text = done.displays[0]["text/plain"].decode()
    assert "What it does." in text
    assert "\x1b" not in text
    assert "return a" in rich.ok("documented??").displays[0]["text/plain"].decode()
    assert "not found" in rich.ok("no_such_name?").stdout


ERRORS = [
    ("%pip install x", "UsageError", "no network"),
    ("%conda install x", "UsageError", "no network"),
    ("%no_such_magic", "UsageError", "not found"),
    ("%%no_such_magic\nx", "UsageError", "not found"),
    ("%%bash\nexit 3", "CalledProcessError", "status 3"),
    ("%%script no-such-program\nx", "UsageError", "no such program"),
    ("%%bash --bg\nx", "UsageError", "--bg"),
    ("%matplotlib qt", "UsageError", "inline"),
    ("%gui qt", "UsageError", "no GUI"),
    ("%run no_such_file.py", "Exception", "no_such_file.py"),
    ("%time 1/0", "ZeroDivisionError", "division by zero"),
    ("%%time\n1/0", "ZeroDivisionError", "division by zero"),
    ("%%capture\n1/0", "ZeroDivisionError", "division by zero"),
    ("%%timeit\n1/0", "ZeroDivisionError", "division by zero"),
]


@pytest.mark.parametrize(("code", "type_name", "message"), ERRORS)
def test_a_magic_that_fails_fails_the_operation(
    rich: Interpreter, code: str, type_name: str, message: str
) -> None:
    """It is an error of the operation, and not only printed."""
    error = rich.run(code).error
    assert error["type_name"] == type_name
    assert message in error["message"]
    assert error["frames"][0]["file_name"] == "<cell 1>"
    assert "sandbank_runner" not in error["traceback_text"]
    assert "SyntaxError" not in error["traceback_text"]
    assert rich.ok("1").text == "1"


LINES = [
    ("x = 1\n!true\n\n1/0", [4]),
    ("%env A=1\n%env B=2\n\ndef f():\n    1/0\nf()", [6, 5]),
    ("%%time\nx = 1\n\n1/0", [1, 4]),
    ("%%capture\nx = 1\n\n1/0", [1, 4]),
    ("!echo a \\\n  b\n1/0", [3]),
    ("for n in [1]:\n    !echo a \\\n  b\n    1/n\n    1/0", [5]),
    ("\n\n!true\n1/0", [4]),
    ("\n\n%%time\nx = 1\n1/0", [3, 5]),
    ("%%capture\n%%time\n\n1/0", [1, 2, 4]),
]


@pytest.mark.parametrize(("code", "lines"), LINES)
def test_line_numbers_stay_the_users(rich: Interpreter, code: str, lines: list[int]) -> None:
    """Of errors in cells with magics; with the user's source lines."""
    error = rich.run(code).error
    assert [frame["line_number"] for frame in error["frames"]] == lines
    source = code.split("\n")
    assert [frame["source_line"] for frame in error["frames"]] == [source[line - 1].strip() for line in lines]


SYNTAX = [("!true\nx = = 1", 2, 5), ("%env A=1\n\nfor x in", 3, 9), ("x = 1\nx = = 2  # %", 2, 5)]


@pytest.mark.parametrize(("code", "line", "column"), SYNTAX)
def test_a_syntax_error_in_a_cell_with_magics_is_the_users(
    rich: Interpreter, code: str, line: int, column: int
) -> None:
    """Line, column and text of the source as it was written."""
    detail = rich.run(code).error["syntax_error"]
    assert (detail["line"], detail["column"]) == (line, column)
    assert detail["text"] == code.split("\n")[line - 1]


def test_python_is_never_taken_for_a_magic(interpreter: Interpreter) -> None:
    """A cell that compiles is Python, whatever its lines begin with; IPython is not imported for it."""
    code = "x = (7\n% 4)\ns = '''\n%magic\n!shell\nname?\n'''\nx"
    assert interpreter.ok(code).text == "3"
    assert interpreter.run("x = = 5").error["type_name"] == "SyntaxError"
    assert interpreter.ok("import sys\n'IPython' in sys.modules").text == "False"


def test_ipython_takes_nothing_over(interpreter: Interpreter) -> None:
    """No hook, no prompt, no thread, no name but one, no file outside the temporary directory."""
    interpreter.ok("5")
    interpreter.ok(
        "import sys, threading\nbefore = sys.displayhook, sys.excepthook, sys.stdout, set(globals())"
    )
    interpreter.ok("%who")
    code = "(sys.displayhook, sys.excepthook, sys.stdout) == before[:3], sorted(set(globals()) - before[3])"
    assert interpreter.ok(code).text == "(True, ['_dh', 'before'])"
    assert (
        interpreter.ok("hasattr(sys, 'ps1'), threading.active_count(), _").text
        == "(False, 1, (True, ['_dh', 'before']))"
    )
    assert os.listdir(interpreter.workspace) == []


DISPLAYS = [
    ("from IPython.display import display, HTML\ndisplay(HTML('<b>x</b>'))", "text/html", b"<b>x</b>"),
    ("from IPython.display import HTML\ndisplay(HTML('<b>x</b>'))", "text/html", b"<b>x</b>"),
    ("from IPython.display import display\ndisplay(5)", "text/plain", b"5"),
    (
        "from IPython.display import display, Image\ndisplay(Image(data=b'\\x89PNG', format='png'))",
        "image/png",
        b"\x89PNG",
    ),
    ("import IPython\nIPython.display.display({'a': 1})", "application/json", b'{"a":1}'),
    ("from IPython.display import display\ndisplay({'text/html': 'raw'}, raw=True)", "text/html", b"raw"),
    (
        "from IPython.display import publish_display_data\npublish_display_data({'text/html': 'p'})",
        "text/html",
        b"p",
    ),
    ("%%html\n<i>h</i>", "text/html", b"<i>h</i>\n"),
    ("%%markdown\n*m*", "text/markdown", b"*m*\n"),
    ("%%latex\nx", "text/latex", b"x\n"),
]


@pytest.mark.parametrize(("code", "mime", "data"), DISPLAYS)
def test_ipythons_display_goes_to_the_session(rich: Interpreter, code: str, mime: str, data: bytes) -> None:
    """Also in the very cell that imports it first."""
    done = rich.ok(code)
    assert len(done.displays) == 1
    assert done.displays[0][mime].rstrip() == data.rstrip()
    assert done.stdout == ""
    assert rich.thread_count() == 1


def test_ipythons_handles_update(rich: Interpreter) -> None:
    """Display ids go through."""
    code = (
        "from IPython.display import display, update_display\nh = display(1, display_id='x')\nh.update(2)\n"
        "update_display(3, display_id='x')"
    )
    headers = rich.ok(code).display_headers
    assert [(header["display_id"], header["update"]) for header in headers] == [
        ("x", False),
        ("x", True),
        ("x", True),
    ]


def test_registered_formatters_are_asked(rich: Interpreter) -> None:
    """``for_type`` works for results and for both kinds of display; plain builtins stay what they are."""
    rich.ok(
        "class K:\n    def __repr__(self): return 'K()'\nf = get_ipython().display_formatter.formatters['text/html']"
    )
    rich.ok("f.for_type(K, lambda k: '<k>')\nf.for_type(int, lambda n: '<n>');")
    assert rich.ok("K()").result == {"text/html": b"<k>", "text/plain": b"K()"}
    assert rich.ok("display(K())").displays == [{"text/html": b"<k>", "text/plain": b"K()"}]
    assert rich.ok("5").result == {"text/plain": b"5", "application/json": b"5"}


def test_output_of_timing(rich: Interpreter) -> None:
    """What a person looks for."""
    assert re.search(r"Wall time: .*s\n", rich.ok("%time pass").stdout)
    assert "1 loop each" in rich.ok("%timeit -n1 -r1 pass").stdout


COLD = [
    ("!echo hi", "stdout"),
    ("from IPython.display import display\ndisplay(5)", "display"),
    ("import IPython\nIPython.display.publish_display_data({'text/html': 'h'})", "display"),
    ("%timeit -n1 -r1 pass", "stdout"),
    ("len?", "display"),
    ("get_ipython().system('echo hi')", "stdout"),
]


@pytest.mark.parametrize(("code", "event"), COLD)
def test_ipython_is_imported_by_the_cell_that_needs_it(
    interpreter: Interpreter, code: str, event: str
) -> None:
    """Where the template has not preloaded it, the same comes out, and still without a thread."""
    assert interpreter.ok("import sys\n'IPython' in sys.modules").text == "False"
    assert {event[0] for event in interpreter.ok(code).events} == {event}
    assert interpreter.thread_count() == 1
