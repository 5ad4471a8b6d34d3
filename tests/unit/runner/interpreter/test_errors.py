"""How failing code is told."""

from __future__ import annotations

import pytest

from tests.unit.runner.interpreter.harness import Interpreter

ERRORS = [
    ("1/0", "ZeroDivisionError", "division by zero"),
    ("{}['k']", "KeyError", "'k'"),
    ("raise SystemExit(3)", "SystemExit", "3"),
    ("import sys; sys.exit()", "SystemExit", "0"),
    ("import sys; sys.exit('text')", "SystemExit", "text"),
    ("exit(4)", "SystemExit", "4"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
    ("raise GeneratorExit('g')", "GeneratorExit", "g"),
    ("class Own(BaseException): pass\nraise Own('o')", "Own", "o"),
    ("import asyncio\nraise asyncio.CancelledError", "CancelledError", ""),
    ("import asyncio\nawait asyncio.sleep(0)\nraise asyncio.CancelledError", "CancelledError", ""),
    ("import asyncio\nawait asyncio.sleep(0)\nraise SystemExit(5)", "SystemExit", "5"),
    ("raise ExceptionGroup('g', [ValueError(1), KeyError(2)])", "ExceptionGroup", "g (2 sub-exceptions)"),
    ("raise", "RuntimeError", "No active exception to reraise"),
    ("raise 5", "TypeError", "exceptions must derive from BaseException"),
    ("raise ValueError('\\ud800')", "ValueError", "\\ud800"),
    ("class E(Exception):\n  def __str__(self): raise ValueError\nraise E", "E", "<exception str() failed>"),
    ("class E(Exception):\n  def __str__(self): return 5\nraise E", "E", "<exception str() failed>"),
    ("class E(Exception):\n  def __str__(self): return str(self)\nraise E", "E", "<exception str() failed>"),
    (
        (
            "class S(str):\n  def __len__(self): 1/0\n  __getitem__ = encode = __len__\n"
            "class E(Exception):\n  def __str__(self): return S('s')\nraise E"
        ),
        "E",
        "s",
    ),
    (
        "class M(type):\n  __name__ = property(lambda self: 1/0)\nclass E(Exception, metaclass=M): pass\nraise E('m')",
        "E",
        "m",
    ),
    ("import no_such_module", "ModuleNotFoundError", "No module named 'no_such_module'"),
    ("compile('x = = 1', 'other', 'exec')", "SyntaxError", "invalid syntax (other, line 1)"),
]


@pytest.mark.parametrize(("code", "type_name", "message"), ERRORS)
def test_an_error_says_what_it_is(interpreter: Interpreter, code: str, type_name: str, message: str) -> None:
    """Type and message, whatever was raised and however it behaves; the session goes on."""
    done = interpreter.run(code)
    assert not done.ok
    assert (done.error["type_name"], done.error["message"]) == (type_name, message)
    assert "sandbank_runner" not in done.error["traceback_text"]
    assert done.error["syntax_error"] is None
    assert done.result == {}
    assert not done.header["interrupted"]
    assert interpreter.ok("1").text == "1"


def test_frames_are_the_users_only(interpreter: Interpreter) -> None:
    """Cells and files of the workspace, innermost last; the text has the library's frames too."""
    (interpreter.workspace / "own.py").write_text(
        "def decode(text):\n    import json\n    return json.loads(text)\n"
    )
    error = interpreter.run("import own\n\ndef f():\n    own.decode('{')\nf()").error
    assert [
        (frame["function_name"], frame["line_number"], frame["source_line"]) for frame in error["frames"]
    ] == [
        ("<module>", 5, "f()"),
        ("f", 4, "own.decode('{')"),
        ("decode", 3, "return json.loads(text)"),
    ]
    assert [frame["file_name"] for frame in error["frames"]] == [
        "<cell 1>",
        "<cell 1>",
        str(interpreter.workspace / "own.py"),
    ]
    assert error["traceback_text"].startswith('Traceback (most recent call last):\n  File "<cell 1>", line 5')
    assert "json/decoder.py" in error["traceback_text"]


def test_the_text_is_what_python_prints(interpreter: Interpreter) -> None:
    """Chained exceptions, notes and groups, with source lines."""
    code = (
        "try:\n    try:\n        1/0\n    except ZeroDivisionError as error:\n"
        "        raise KeyError('second') from error\nexcept KeyError:\n"
        "    last = ValueError('third')\n    last.add_note('a note')\n    raise last"
    )
    text = interpreter.run(code).error["traceback_text"]
    first, second, third = text.split("\n\n")[::2]
    assert 'File "<cell 1>", line 3, in <module>\n    1/0' in first
    assert first.endswith("ZeroDivisionError: division by zero")
    assert "The above exception was the direct cause" in text
    assert second.endswith("KeyError: 'second'")
    assert "During handling of the above exception" in text
    assert third.endswith("ValueError: third\na note\n")
    group = interpreter.run(
        "raise ExceptionGroup('g', [ValueError(1), ExceptionGroup('h', [KeyError(2)])])"
    ).error
    assert "ValueError: 1" in group["traceback_text"]
    assert "KeyError: 2" in group["traceback_text"]


def test_an_awaiting_cell_shows_no_frames_of_the_loop(interpreter: Interpreter) -> None:
    """The user's frames begin with the cell, as without await."""
    code = "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    raise ValueError('x')\nawait f()"
    error = interpreter.run(code).error
    assert [frame["line_number"] for frame in error["frames"]] == [5, 4]
    assert "run_until_complete" not in error["traceback_text"]
    text = interpreter.run("await asyncio.wait_for(asyncio.sleep(9), 0.001)").error["traceback_text"]
    assert text.startswith('Traceback (most recent call last):\n  File "')
    assert "TimeoutError" in text


RECURSION = [
    ("def f(): f()\nf()", 1_000, 100),
    ("def f(): g()\ndef g(): f()\nf()", 1_000, 100),
    ("import sys\nsys.setrecursionlimit(12_000)\ndef f(n): return f(n + 1)\nf(0)", 12_000, 100),
    (
        "import sys\nsys.setrecursionlimit(60_000)\ndef f(n): return g(n)\ndef g(n): return f(n + 1)\nf(0)",
        60_000,
        100,
    ),
]


@pytest.mark.parametrize(("code", "depth", "frames"), RECURSION, ids=["plain", "mutual", "deep", "very deep"])
def test_a_deep_recursion_is_told_by_its_ends(
    interpreter: Interpreter, code: str, depth: int, frames: int
) -> None:
    """Frames and text are bounded; the first and the last frames are there."""
    error = interpreter.run(code).error
    assert error["type_name"] == "RecursionError"
    assert len(error["frames"]) == frames
    assert error["frames"][0]["function_name"] == "<module>"
    assert error["frames"][-1]["function_name"] in ("f", "g")
    assert len(error["traceback_text"]) < 210_000
    assert error["traceback_text"].startswith('Traceback (most recent call last):\n  File "<cell 1>"')
    assert error["traceback_text"].rstrip().rpartition("\n")[2].startswith("RecursionError: ")


def test_huge_errors_are_bounded(interpreter: Interpreter) -> None:
    """Message, text, source lines and chain; begin and end are kept."""
    error = interpreter.run("raise ValueError('a' * 10_000_000 + 'z')").error
    assert 60_000 < len(error["message"]) < 70_000
    assert error["message"][0] == "a"
    assert error["message"][-1] == "z"
    assert len(error["traceback_text"]) < 210_000
    line = "x = '" + "b" * 100_000 + "'; 1/0"
    assert len(interpreter.run(line).error["frames"][0]["source_line"]) == 500
    chain = (
        "error = None\nfor n in range(3_000):\n    try:\n        raise ValueError(n) from error\n"
        "    except ValueError as e:\n        error = e\nraise error"
    )
    assert len(interpreter.run(chain).error["traceback_text"]) < 210_000
    loop = "a, b = ValueError('a'), ValueError('b')\na.__context__ = b\nb.__context__ = a\nraise a"
    assert interpreter.run(loop).error["message"] == "a"
    wide = "raise ExceptionGroup('g', [ValueError(n) for n in range(100_000)])"
    assert len(interpreter.run(wide).error["traceback_text"]) < 210_000


def test_a_failed_cell_keeps_nothing_alive(interpreter: Interpreter) -> None:
    """Once the error is told, its frames and what they hold are let go, without the garbage collector."""
    interpreter.ok("import gc, weakref\ngc.disable()\nclass Big: pass")
    interpreter.run("def f():\n    global seen\n    big = Big()\n    seen = weakref.ref(big)\n    1/0\nf()")
    assert interpreter.ok("seen() is None").text == "True"
