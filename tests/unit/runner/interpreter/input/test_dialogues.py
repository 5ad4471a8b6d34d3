"""Programs that speak with a person: debuggers, consoles, menus."""

from __future__ import annotations

from tests.unit.runner.interpreter.harness import Interpreter
from tests.unit.runner.interpreter.input.dialogue import answer, converse, question


def test_the_debugger_asks_for_commands(interpreter: Interpreter) -> None:
    """``breakpoint()`` in a function: look at a variable, change it, go on."""
    code = "def f():\n    n = 1\n    breakpoint()\n    return n\nf()"
    interpreter.start(code, allow_input=True)
    for command in ("p n + 41", "where", "!n = 7", "continue"):
        asked = question(interpreter)
        assert asked["prompt"] == "(Pdb) "
        answer(interpreter, asked, command)
    done = interpreter.finish()
    assert done.text == "7"
    assert "42\n" in done.stdout
    assert interpreter.ok("1").text == "1"


def test_the_debugger_steps(interpreter: Interpreter) -> None:
    """Line by line, and out at the end of file."""
    interpreter.start(
        "def f():\n    breakpoint()\n    a = 1\n    b = 2\n    return a + b\nf()", allow_input=True
    )
    for command in ("next", "next", "p a", None):
        answer(interpreter, question(interpreter), command)
    done = interpreter.finish()
    assert "1\n" in done.stdout
    assert done.error["type_name"] == "BdbQuit"
    assert converse(interpreter, "input()", "x").json == "x"


def test_post_mortem(interpreter: Interpreter) -> None:
    """``pdb.pm`` on an error of an earlier operation."""
    interpreter.run(
        "def f(x):\n    return 1 / x\ntry:\n    f(0)\nexcept ZeroDivisionError as e:\n    kept = e"
    )
    done = converse(interpreter, "import pdb\npdb.post_mortem(kept.__traceback__)", "p x", "quit")
    assert "0\n" in done.stdout


def test_the_interactive_console(interpreter: Interpreter) -> None:
    """``code.interact`` runs what it is given, in several lines too, up to the end of file."""
    interpreter.start(
        "import code\nmine = {}\ncode.interact(local=mine, banner='', exitmsg='')", allow_input=True
    )
    prompts = []
    for line in ("x = 20", "def f():", "    return x + 1", "", "y = f() * 2", None):
        asked = question(interpreter)
        prompts.append(asked["prompt"])
        answer(interpreter, asked, line)
    assert interpreter.finish().ok
    assert prompts == [">>> ", ">>> ", "... ", "... ", ">>> ", ">>> "]
    assert interpreter.ok("mine['y']").text == "42"


def test_a_cmd_loop(interpreter: Interpreter) -> None:
    """The standard library's command interpreters, by ``input`` and by the stream."""
    code = (
        "import cmd\nclass Shell(cmd.Cmd):\n    use_rawinput = {raw}\n"
        "    def do_add(self, rest): print(sum(map(int, rest.split())))\n"
        "    def do_EOF(self, _): return True\nShell().cmdloop()"
    )
    assert converse(interpreter, code.format(raw=True), "add 1 2", None).stdout == "3\n"
    assert converse(interpreter, code.format(raw=False), "add 1 2", None).stdout == "(Cmd) 3\n(Cmd) "


def test_a_guessing_game(interpreter: Interpreter) -> None:
    """A loop of question and answer with output between, in order."""
    code = (
        "while True:\n    guess = int(input('Guess: '))\n"
        "    print('low' if guess < 42 else 'high' if guess > 42 else 'right')\n    if guess == 42: break"
    )
    interpreter.start(code, allow_input=True)
    for guess, verdict in (("20", "low"), ("60", "high"), ("42", "right")):
        asked = question(interpreter)
        assert asked["prompt"] == "Guess: "
        answer(interpreter, asked, guess)
        interpreter.output_until(verdict)
    assert interpreter.finish().stdout == "low\nhigh\nright\n"


def test_damaged_builtins_do_not_matter(interpreter: Interpreter) -> None:
    """Asking works on what was looked up before user code ran."""
    code = (
        "import builtins, io, json, os, select, socket\nkept = builtins.input\n"
        "for name in ('poll', 'select', 'epoll'): setattr(select, name, None)\n"
        "os.eventfd = os.eventfd_write = os.eventfd_read = os.close = os.getpid = None\n"
        "json.JSONEncoder.encode = json.JSONDecoder.raw_decode = None\n"
        "for name in ('isinstance', 'str', 'len', 'dict', 'super'): setattr(builtins, name, None)\n"
        "kept('still? ')"
    )
    assert converse(interpreter, code, "yes").json == "yes"


def test_a_trace_function_sees_the_question(interpreter: Interpreter) -> None:
    """And may raise in it: that is the code's own error, and the next question is asked as before."""
    code = (
        "import sys\nseen = []\ndef trace(frame, event, arg):\n    seen.append(event)\n"
        "    if len(seen) == {limit}: raise ValueError('traced')\n    return trace\n"
        "sys.settrace(trace)\n"
    )
    converse(interpreter, code.format(limit=0))
    assert converse(interpreter, "input()", "x").json == "x"
    interpreter.ok("sys.settrace(None)")
    assert converse(interpreter, "input()", "y").json == "y"


def test_an_audit_hook_that_refuses_everything(interpreter: Interpreter) -> None:
    """Asking raises no audit event that it could object to."""
    interpreter.ok(
        "import sys\ndef hook(event, arguments):\n    if armed: raise RuntimeError(event)\n"
        "armed = False\nsys.addaudithook(hook)"
    )
    done = converse(interpreter, "armed = True\ngot = input()\narmed = False\ngot", "x")
    assert done.json == "x"


def test_where_ipython_is_preloaded(rich: Interpreter) -> None:
    """Its debugger asks, and so does getpass, which it has imported before."""
    code = "from IPython.core.debugger import set_trace\ndef f(x):\n    set_trace()\n    return x\nf(7)"
    rich.start(code, allow_input=True)
    for command in ("p x * 6", "continue"):
        asked = question(rich)
        assert asked["prompt"] == "ipdb> "
        answer(rich, asked, command)
    done = rich.finish()
    assert (done.text, "42\n" in done.stdout) == ("7", True)
    assert converse(rich, "import getpass\ngetpass.getpass()", "secret").json == "secret"
