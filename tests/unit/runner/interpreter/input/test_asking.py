"""``input()``, ``getpass`` and ``sys.stdin`` ask whoever runs the code."""

from __future__ import annotations

import pytest

from tests.unit.runner.interpreter.harness import Interpreter
from tests.unit.runner.interpreter.input.dialogue import answer, converse, question


def test_input_asks_and_returns_the_line(interpreter: Interpreter) -> None:
    """The prompt is in the question and nowhere else; the answer comes without a line end."""
    interpreter.start("name = input('name? ')\nname", allow_input=True)
    asked = question(interpreter)
    assert (asked["prompt"], asked["password"]) == ("name? ", False)
    answer(interpreter, asked, "Ada ä€𝄞")
    done = interpreter.finish()
    assert done.json == "Ada ä€𝄞"
    assert done.events == []


def test_every_question_has_its_number(interpreter: Interpreter) -> None:
    """Never the same twice, in an operation or in the next."""
    numbers = []
    for _ in range(3):
        interpreter.start("input(), input()", allow_input=True)
        for _ in range(2):
            asked = question(interpreter)
            numbers.append(asked["input_id"])
            answer(interpreter, asked, "")
        interpreter.finish()
    assert len(set(numbers)) == 6


def test_what_was_written_comes_before_the_question(interpreter: Interpreter) -> None:
    """Also what stands in an unfinished line, on both streams and by C code."""
    interpreter.start(
        "import ctypes, sys\nprint('out', end='')\nsys.stderr.write('err')\n"
        "ctypes.CDLL(None).printf(b'c')\ninput()",
        allow_input=True,
    )
    asked = question(interpreter)
    interpreter.output_until("c")
    assert sorted(data for _, data in interpreter.events) == [b"c", b"err", b"out"]
    answer(interpreter, asked, "")
    assert interpreter.finish().ok


def test_the_end_of_file_is_an_error_of_input(interpreter: Interpreter) -> None:
    """EOFError, which code may catch; the next question is asked again, as on a terminal."""
    code = "try:\n    input('a')\nexcept EOFError as e:\n    first = e\nfirst, input('b')"
    assert converse(interpreter, code, None, "more").text == "(EOFError('EOF when reading a line'), 'more')"
    assert converse(interpreter, "input()", None).error["type_name"] == "EOFError"


@pytest.mark.parametrize(
    "code",
    ["input('?')", "import getpass\ngetpass.getpass('?')", "import sys\nsys.stdin.readline() or int('')"],
)
def test_without_leave_there_is_no_question(interpreter: Interpreter, code: str) -> None:
    """The end of file comes at once, and nothing is asked."""
    done = interpreter.run(code)
    assert done.error["type_name"] in ("EOFError", "ValueError")
    assert converse(interpreter, "input()", "x").json == "x"
    assert interpreter.run("input()").error["type_name"] == "EOFError"


def test_getpass_asks_for_what_is_not_shown(interpreter: Interpreter) -> None:
    """However it was imported, and with its own default prompt."""
    interpreter.start(
        "from getpass import getpass\ngetpass(), getpass('Key: ', stream=None)", allow_input=True
    )
    for prompt, text in (("Password: ", "s3cret"), ("Key: ", "")):
        asked = question(interpreter)
        assert (asked["prompt"], asked["password"]) == (prompt, True)
        answer(interpreter, asked, text)
    done = interpreter.finish()
    assert done.text == "('s3cret', '')"
    assert done.events == []


STREAM = {
    "readline": ("sys.stdin.readline(), sys.stdin.readline()", ["a", ""], "('a\\n', '\\n')"),
    "end of readline": ("sys.stdin.readline()", [None], "''"),
    "iteration": ("[line for line in sys.stdin]", ["a", "b", None], "['a\\n', 'b\\n']"),
    "next": ("next(sys.stdin)", ["a"], "'a\\n'"),
    "loop": (
        "got = []\nfor line in sys.stdin:\n    got.append(line)\n    if line == 'stop\\n': break\ngot",
        ["go", "stop"],
        "['go\\n', 'stop\\n']",
    ),
    "read": ("sys.stdin.read()", ["a", "b", None], "'a\\nb\\n'"),
    "read None": ("sys.stdin.read(None)", [None], "''"),
    "some characters": ("sys.stdin.read(3), sys.stdin.readline()", ["ä€𝄞x"], "('ä€𝄞', 'x\\n')"),
    "characters of lines": ("sys.stdin.read(4)", ["ab", "cd"], "'ab\\nc'"),
    "no characters": ("sys.stdin.read(0)", [], "''"),
    "fewer at the end": ("sys.stdin.read(9)", ["ab", None], "'ab\\n'"),
    "part of a line": ("sys.stdin.readline(2), sys.stdin.readline()", ["ä€x"], "('ä€', 'x\\n')"),
    "rest for input": ("sys.stdin.read(1), input()", ["abc"], "('a', 'bc')"),
    "lines at once": ("sys.stdin.readline(), sys.stdin.readline()", ["a\nb"], "('a\\n', 'b\\n')"),
    "readlines": ("sys.stdin.readlines()", ["a", "b", None], "['a\\n', 'b\\n']"),
    "bytes": ("sys.stdin.buffer.readline()", ["ä"], "b'\\xc3\\xa4\\n'"),
    "all bytes": ("sys.stdin.buffer.read()", ["a", None], "b'a\\n'"),
    "some bytes": ("sys.stdin.buffer.read(2), sys.stdin.buffer.read1()", ["abc"], "(b'ab', b'c\\n')"),
    "bytes into": ("b = bytearray(3)\nsys.stdin.buffer.readinto(b), bytes(b)", ["ab"], "(3, b'ab\\n')"),
    "peek": ("sys.stdin.buffer.peek(), sys.stdin.readline()", ["a"], "(b'a\\n', 'a\\n')"),
    "half a character": ("sys.stdin.buffer.read(1), sys.stdin.readline()", ["ä"], "(b'\\xc3', '\\udca4\\n')"),
    "fileinput": ("import fileinput\nsys.argv = ['']\nlist(fileinput.input())", ["a", None], "['a\\n']"),
    "wrapped": ("import io\nio.TextIOWrapper(sys.stdin.buffer).readline()", ["a"], "'a\\n'"),
}


@pytest.mark.parametrize(("code", "answers", "text"), STREAM.values(), ids=STREAM)
def test_the_stream_asks_line_by_line(
    interpreter: Interpreter, code: str, answers: list[str | None], text: str
) -> None:
    """``sys.stdin`` reads as from a terminal: a line as it is typed, and no further question than needed."""
    done = converse(interpreter, f"import sys\n{code}", *answers)
    assert done.text == text, done
    assert done.events == []


def test_what_one_operation_left_is_not_the_next_ones(interpreter: Interpreter) -> None:
    """A line that was half read ends with its operation."""
    converse(interpreter, "import sys\nsys.stdin.read(1)", "secret")
    assert converse(interpreter, "input()", "x").json == "x"


def test_a_stream_of_the_users_is_read_instead(interpreter: Interpreter) -> None:
    """``input`` reads from whatever ``sys.stdin`` is, as Python does, for that operation."""
    done = converse(interpreter, "import io, sys\nsys.stdin = io.StringIO('5\\n')\ninput('n? ')")
    assert (done.text, done.stdout) == ("'5'", "n? ")
    done = converse(interpreter, "import getpass\nsys.stdin = io.StringIO('5\\n')\ngetpass.getpass()")
    assert done.text == "'5'"
    assert converse(interpreter, "input()", "asked").json == "asked"


def test_a_closed_stream_cannot_be_asked(interpreter: Interpreter) -> None:
    """ValueError, as Python has it; the next operation has a whole one."""
    done = converse(interpreter, "import sys\nsys.stdin.close()\ninput()")
    assert done.error["type_name"] == "ValueError"
    assert (
        converse(interpreter, "sys.stdin.buffer.close()\nsys.stdin.readline()").error["type_name"]
        == "ValueError"
    )
    assert converse(interpreter, "input()", "x").json == "x"


def test_prompts_are_bounded_text(interpreter: Interpreter) -> None:
    """64 KiB of valid UTF-8; what that cannot carry is escaped. Any object may be a prompt."""
    for code, prompt in (
        ("input('x' * 100_000)", "x" * 65536),
        ("input('€' * 65536)", "€" * (65536 // 3)),
        ("input('a\\udcff')", "a\\udcff"),
        ("input([1])", "[1]"),
        ("input()", ""),
        ("input(None)", "None"),
    ):
        interpreter.start(code, allow_input=True)
        asked = question(interpreter)
        assert asked["prompt"] == prompt
        answer(interpreter, asked, "")
        assert interpreter.finish().ok


def test_a_long_answer_arrives_whole(interpreter: Interpreter) -> None:
    """It takes many packets."""
    text = "ä" * 500_000
    assert converse(interpreter, "a = input()\nlen(a), set(a)", text).text == "(500000, {'ä'})"


def test_an_answer_that_nobody_waits_for_is_dropped(interpreter: Interpreter) -> None:
    """Of another operation, of another number, twice, or early: the question stays open, and nobody suffers."""
    interpreter.send({"type": "input", "operation": "operation-1", "input_id": 1, "text": "early"})
    interpreter.start("input(), input()", allow_input=True)
    asked = question(interpreter)
    interpreter.send({"type": "input", "operation": "other", "input_id": asked["input_id"], "text": "wrong"})
    interpreter.send({"type": "input", "operation": asked["operation"], "input_id": 99, "text": "wrong"})
    answer(interpreter, asked, "first")
    answer(interpreter, asked, "again")
    answer(interpreter, question(interpreter), "second")
    assert interpreter.finish().text == "('first', 'second')"
    answer(interpreter, asked, "late")
    assert interpreter.ok("1").text == "1"


def test_a_forked_process_cannot_ask(interpreter: Interpreter) -> None:
    """It gets the end of file, and its parent can still ask."""
    code = (
        "import os, sys\npid = os.fork()\nif pid == 0:\n    try:\n        input('child? ')\n"
        "    except EOFError:\n        os._exit(7 if sys.stdin.read() == '' else 8)\n"
        "os.waitpid(pid, 0)[1] >> 8, input('parent? ')"
    )
    assert converse(interpreter, code, "yes").text == "(7, 'yes')"


def test_code_may_have_its_own_input(interpreter: Interpreter) -> None:
    """What it puts into the builtins stays, as anywhere in Python."""
    interpreter.ok("import builtins\nkept = builtins.input\nbuiltins.input = lambda *_: 'mine'")
    assert converse(interpreter, "input()").json == "mine"
    assert converse(interpreter, "kept('? ')", "asked").json == "asked"


def test_it_looks_like_the_builtin(interpreter: Interpreter) -> None:
    """Name, module and signature; wrong calls are refused likewise."""
    assert interpreter.ok("import inspect\ninput.__module__, input.__name__").text == "('builtins', 'input')"
    assert converse(interpreter, "input(prompt='x')").error["type_name"] == "TypeError"
    assert converse(interpreter, "input(1, 2)").error["type_name"] == "TypeError"
