"""A read of hostile values costs at most itself: the reader says what it turned to, and the session knows nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.unit.runner.interpreter.harness import Interpreter
from tests.unit.runner.interpreter.reading.harness import LIST, Reading, listing, value

CLASS = "class Hostile:\n    def __repr__(self):\n        {}\n"

SOFT = {
    "loop": ("while True: pass", "<preview unavailable: repr took too long>"),
    "loop that swallows errors": (
        "while True:\n            try:\n                while True: pass\n            except Exception: pass",
        "<preview unavailable: repr took too long>",
    ),
    "sleep": ("import time; time.sleep(600)", "<preview unavailable: repr took too long>"),
    "error": ("raise ValueError('no')", "<repr failed: ValueError: no>"),
    "error without words": ("raise Quiet", "<repr failed: Quiet>"),
    "exit": ("raise SystemExit", "<repr failed: SystemExit>"),
    "interrupt": ("raise KeyboardInterrupt", "<repr failed: KeyboardInterrupt>"),
    "no text": (
        "return 7",
        "<repr failed: TypeError: __repr__ returned non-string (type int)>",
    ),
    "endless recursion": (
        "return repr(self)",
        "<repr failed: RecursionError: maximum recursion depth exceeded",
    ),
    "a gigabyte": ("return 'x' * (1 << 30)", "<repr failed: MemoryError>"),
    "many megabytes": ("return 'x' * (1 << 26)", "x" * 199 + "…"),
    "a subclass of str": ("return Text('text')", "text"),
    "lone surrogates": ("return '\\udc80'", "\\udc80"),
    "print": ("print('seen'); import os; os.write(2, b'seen'); return 'said'", "said"),
    "input": ("return input()", "<repr failed: EOFError"),
}
HARD = {
    "a loop in C": "return str(sum(range(10 ** 13)))",
    "blocked signals": "import signal\n        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
    "        while True: pass",
    "another handler": "import signal\n        signal.signal(signal.SIGALRM, signal.SIG_IGN)\n        while True: pass",
    "an error swallowed for ever": "while True:\n            try:\n                while True: pass\n"
    "            except BaseException: pass",
}
DEADLY = {
    "a segfault": ("import ctypes; ctypes.string_at(0)", signal.SIGSEGV),
    "SIGKILL": ("import os; os.kill(os.getpid(), 9)", signal.SIGKILL),
    "abort": ("import os; os.abort()", signal.SIGABRT),
}

PROGRAM = "class Quiet(Exception): pass\nclass Text(str):\n    def __len__(self): return 10 ** 9\n"


@pytest.mark.parametrize(("body", "preview"), SOFT.values(), ids=SOFT)
def test_what_repr_does_shows_in_its_preview_only(interpreter: Interpreter, body: str, preview: str):
    """It fails, takes too long or writes too much: the variables before and after it are described all the same."""
    interpreter.ok(PROGRAM + CLASS.format(body) + "a, b, c = 1, Hostile(), 2")
    answer = listing(interpreter)
    assert answer.items["b"]["preview"].startswith(preview)
    assert len(answer.items["b"]["preview"]) <= 200
    assert (answer.items["a"]["preview"], answer.items["c"]["preview"]) == ("1", "2")
    assert answer.last == {"type": "end", "more": False}
    done = interpreter.ok("print(a + c)")
    assert (done.stdout, done.stderr) == ("3\n", "")


@pytest.mark.parametrize("body", HARD.values(), ids=HARD)
def test_what_no_signal_ends_is_named_before_it_begins(interpreter: Interpreter, body: str):
    """The reader hangs; what it said last tells at which variable, with all that is known of it but the preview."""
    interpreter.ok(CLASS.format(body) + "a, b, c = 1, Hostile(), 2")
    reading = Reading(interpreter, LIST)
    reading.until_at("b")
    answer = reading.kill()
    assert answer.at[-1]["type_name"] == "__main__.Hostile"
    assert "c" not in answer.items
    assert not answer.last
    assert interpreter.ok("c").text == "2"


@pytest.mark.parametrize(("body", "number"), DEADLY.values(), ids=DEADLY)
def test_a_death_is_that_of_the_reader(interpreter: Interpreter, body: str, number: int):
    """The session lives on; the last that the reader said is whom it died of."""
    interpreter.ok(CLASS.format(body) + "a, b, c = 1, Hostile(), 2")
    answer = Reading(interpreter, LIST).finish()
    assert os.waitstatus_to_exitcode(answer.status) == -number
    assert (answer.at[-1]["name"], answer.at[-1]["size_bytes"] > 0) == ("b", True)
    assert not answer.last
    assert listing(interpreter, after="b").items["c"]["preview"] == "2"


def test_attributes_are_not_asked(interpreter: Interpreter):
    """Length, type and size come from the types that define them: no property, no __len__ and no metaclass is run."""
    interpreter.ok(
        "import os\n"
        "def kill(*_): os.kill(os.getpid(), 9)\n"
        "class Meta(type):\n"
        "    __eq__ = __hash__ = __instancecheck__ = __subclasscheck__ = __getattribute__ = kill\n"
        "class L(list, metaclass=Meta):\n"
        "    __len__ = __iter__ = __getitem__ = __sizeof__ = __getattribute__ = __eq__ = __hash__ = kill\n"
        "    __class__ = shape = dtype = nbytes = property(kill)\n"
        "class O(metaclass=Meta):\n"
        "    __len__ = __sizeof__ = __getattribute__ = __eq__ = __hash__ = __del__ = kill\n"
        "    __class__ = shape = dtype = nbytes = property(kill)\n"
        "a = list.__new__(L)\nlist.append(a, 1)\nb = object.__new__(O)\n"
    )
    answer = listing(interpreter, skip=["a", "b"])  # whom trying to save them would ask
    assert answer.status == 0
    assert answer.items["a"]["length"] == 1
    assert answer.items["a"]["preview"] == "[1]"
    assert answer.items["b"]["length"] is None


def test_the_state_stays_as_it_is(interpreter: Interpreter):
    """What __repr__ does to variables, modules, descriptors' offsets and pipes, it does to a copy."""
    interpreter.ok(
        "import os, random\n"
        "with open('data', 'w') as f: f.write('0123456789')\n"
        "f = open('data', 'r+b', buffering=0)\nread_end, write_end = os.pipe()\nrandom.seed(1)\nn = 0\n"
        + CLASS.format(
            "global n; n += 1; random.random(); os.chdir('/'); os.environ['X'] = '1'\n"
            "        try: f.read(5)\n        except OSError: pass\n"
            "        try: os.write(write_end, b'x')\n        except OSError: pass\n"
            "        return 'done'"
        )
        + "h = Hostile()\nbefore = random.getstate(), os.getcwd()\n"
    )
    assert listing(interpreter).items["h"]["preview"] == "done"
    interpreter.ok(
        "assert n == 0 and 'X' not in os.environ and before == (random.getstate(), os.getcwd())\n"
        "assert f.tell() == 0\nos.set_blocking(read_end, False)\n"
        "try: os.read(read_end, 1)\nexcept BlockingIOError: pass\nelse: raise AssertionError"
    )


def test_files_are_not_written(interpreter: Interpreter):
    """Where the kernel has Landlock, a __repr__ changes no file of the workspace, open or not."""
    from sandbank_runner.walls import landlock

    if not landlock.version():
        pytest.skip("this kernel has no Landlock")
    interpreter.ok(
        "log = open('log', 'w')\n"
        + CLASS.format("open('made', 'w').close(); return 'made'")
        + "b = Hostile()\n"
        "class Second:\n    def __repr__(self): log.write('x'); log.flush(); return 'written'\nc = Second()"
    )
    answer = listing(interpreter)
    assert answer.items["b"]["preview"].startswith("<repr failed: PermissionError")
    assert answer.items["c"]["preview"].startswith("<repr failed: OSError")
    workspace = Path(interpreter.workspace)
    assert sorted(os.listdir(workspace)) == ["log"]
    assert (workspace / "log").read_bytes() == b""


TAMPERING = {
    "audit hook that raises": "import sys\ndef hook(event, args):\n"
    "    if event not in ('compile', 'exec'): raise RuntimeError(event)\nsys.addaudithook(hook)",
    "builtins": "import builtins\nfor name in ('len', 'sorted', 'repr', 'str', 'list', 'int', 'isinstance', 'iter'):\n"
    "    setattr(builtins, name, None)",
    "sys.modules": "import sys\nsys.modules.clear()",
    "os": "import os\nos.setsid = os.open = os.listdir = os.close = os._exit = os.dup2 = None",
    "threading": "import threading\nthreading.main_thread = None",
    "low recursion limit": "import sys\nfor limit in range(3, 99):\n    try:\n"
    "        sys.setrecursionlimit(limit)\n        break\n    except RecursionError: pass",
    "ignored signals": "import signal\nfor n in signal.valid_signals() - {9, 19}: signal.signal(n, signal.SIG_IGN)",
    "trace function that raises": "import sys\ndef trace(*_): raise RuntimeError\nsys.settrace(trace)",
    "no open files": "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))",
    "ctypes": "import ctypes\nctypes.get_errno = ctypes.PyDLL = None",
    "names that are no strings": "globals()[7] = globals()[('a',)] = 1\nglobals()['\\udc80'] = 1",
}


@pytest.mark.parametrize("code", TAMPERING.values(), ids=TAMPERING)
def test_a_session_that_was_taken_apart_is_read(interpreter: Interpreter, code: str):
    """Variables of builtin types are described whatever user code has made of the interpreter."""
    interpreter.ok("first = [1, {'x': 2}]\nlast = 'text'")
    interpreter.run(code)
    answer = listing(interpreter)
    assert answer.items["first"]["preview"] == "[1, {'x': 2}]"
    assert answer.items["last"]["preview"] == "'text'"
    assert answer.last["type"] == "end"
    assert value(interpreter, "first").data == b"[1, {'x': 2}]"


def test_threads_do_not_stand_in_the_way(interpreter: Interpreter):
    """While a thread of the user's runs, the variables can be read."""
    interpreter.ok(
        "import threading\nstop = threading.Event()\nt = threading.Thread(target=stop.wait, daemon=True)\n"
        "t.start()\nn = 5"
    )
    assert listing(interpreter).items["n"]["preview"] == "5"
    interpreter.ok("stop.set(); t.join()")
