"""User code that takes the interpreter apart ruins at most its own operations."""

from __future__ import annotations

import os

import pytest

from tests.unit.runner.interpreter.harness import Died, Interpreter

PROBE = "try:\n    {}['k']\nexcept KeyError as e: last = repr(e)\nprint(last)\n'value'"

TAMPERING = {
    "audit hook that raises": "import sys\ndef hook(event, args):\n"
    "    if event not in ('compile', 'exec'): raise RuntimeError(event)\nsys.addaudithook(hook)",
    "trace function that raises": "import sys\ndef trace(*_): raise RuntimeError\nsys.settrace(trace)",
    "profile function that raises": "import sys\ndef profile(*_): raise RuntimeError\nsys.setprofile(profile)",
    "trace function that exits": "import sys\ndef trace(*_): raise SystemExit\nsys.settrace(trace)",
    "monitoring tool that raises": "import sys\nif hasattr(sys, 'monitoring'):\n    m = sys.monitoring\n"
    "    def f(*_): raise RuntimeError\n    m.use_tool_id(3, 'x')\n    m.register_callback(3, m.events.PY_START, f)\n"
    "    m.set_events(3, m.events.PY_START)",
    "low recursion limit": "import sys\nfor n in range(3, 99):\n    try:\n"
    "        sys.setrecursionlimit(n)\n        break\n    except RecursionError: pass\nsys.setrecursionlimit(n + 9)",
    "no garbage collector": "import gc\ngc.disable()\ngc.set_threshold(0)\ngc.freeze()",
    "del __builtins__": "del __builtins__",
    "other __builtins__": "__builtins__ = {}",
    "json": "import json, json.encoder\njson.dumps = json.loads = json.JSONEncoder = json.JSONDecoder = None\n"
    "json.encoder.c_make_encoder = json.encoder.encode_basestring_ascii = None",
    "json methods": "import json\ne = json.JSONEncoder\ne.encode = e.iterencode = e.default = None",
    "sys.modules": "import sys\nsys.modules.clear()",
    "__main__": "import sys\nsys.modules['__main__'] = sys\ndel sys.modules['__main__']",
    "namespace": "globals().clear()",
    "os": "import os\nos.write = os.getpid = os._exit = os.read = os.dup2 = None",
    "time": "import time\ntime.monotonic = time.sleep = time.process_time = None",
    "socket": "import socket\nsocket.socket.send = socket.socket.recv = socket.socket.sendmsg = socket.socket = None",
    "signal": "import signal\nsignal.signal = signal.pthread_sigmask = signal.sigtimedwait = None",
    "traceback": "import traceback\ntraceback.TracebackException = traceback.format_list = None",
    "linecache": "import linecache\nlinecache.cache.clear()\nlinecache.getline = linecache.checkcache = None",
    "ast": "import ast\nast.Module = ast.Expr = ast.Expression = ast.PyCF_ONLY_AST = None",
    "contextlib": "import contextlib\ncontextlib.suppress = None",
    "sys functions": "import sys\nsys.getrecursionlimit = sys.settrace = sys.gettrace = sys.getprofile = None",
    "excepthook": "import sys\ndef hook(*_): raise SystemExit\n"
    "sys.excepthook = sys.displayhook = sys.unraisablehook = hook",
    "deleted directory": "import os, tempfile\nd = tempfile.mkdtemp(dir='.')\nos.chdir(d)\nos.rmdir(os.getcwd())",
    "no open files": "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))",
    "no meta path": "import sys\nsys.meta_path.clear()\nsys.path.clear()\nsys.path_hooks.clear()",
    "warnings": "import warnings\nwarnings.simplefilter('error')",
    "display": "import builtins\nbuiltins.display = None",
    "umask and environment": "import os\nos.umask(0o777)\nos.environ.clear()",
    "alternate stack of signals": "import faulthandler\nfaulthandler.enable()",
    "ignored signals": "import signal\nfor n in signal.valid_signals() - {9, 19}: signal.signal(n, signal.SIG_IGN)",
    "threads": "import threading, _thread\nthreading.Lock = _thread.allocate_lock = None",
    "switch interval": "import sys\nsys.setswitchinterval(100)",
    "getattr of modules": "import sys\nclass M(type(sys)):\n    def __getattribute__(self, n): raise ValueError(n)\n"
    "sys.modules['__main__'].__class__ = M",
}


@pytest.mark.parametrize("code", TAMPERING.values(), ids=TAMPERING)
def test_the_session_survives(interpreter: Interpreter, code: str) -> None:
    """Results, output and errors of later operations are told as ever."""
    interpreter.run(code)
    for _ in range(2):
        done = interpreter.run(PROBE)
        assert done.ok, done.error
        assert (done.text, done.stdout) == ("'value'", "KeyError('k')\n")
        error = interpreter.run("1/0").error
        assert (error["type_name"], error["message"]) == ("ZeroDivisionError", "division by zero")
        assert interpreter.run("x = = 1").error["type_name"] == "SyntaxError"


BUILTINS = {
    "len": "import builtins\nbuiltins.len = lambda x: 1 / 0",
    "isinstance": "import builtins\nbuiltins.isinstance = lambda *_: True",
    "type": "import builtins\nbuiltins.type = builtins.str = builtins.list = None",
    "print and open": "import builtins\nbuiltins.print = builtins.open = None",
    "repr": "import builtins\nbuiltins.repr = lambda x: 5",
    "exceptions": "import builtins\nbuiltins.BaseException = builtins.Exception = builtins.ValueError = int",
    "import": "import builtins\ndef no(*_, **__): raise RuntimeError\nbuiltins.__import__ = no",
    "getattr and hasattr": "import builtins\nbuiltins.getattr = builtins.hasattr = builtins.any = None",
    "all": "import builtins\nvars(builtins).clear()",
}


@pytest.mark.parametrize("code", BUILTINS.values(), ids=BUILTINS)
def test_changed_builtins_are_the_users_only(interpreter: Interpreter, code: str) -> None:
    """User code sees its own; the runner does not, and tells values and errors right."""
    interpreter.run(code)
    for _ in range(2):
        assert interpreter.run("[1, 'x']").text == "[1, 'x']"
        error = interpreter.run("x = 1\n1/0").error
        assert (error["type_name"], error["message"]) == ("ZeroDivisionError", "division by zero")
        assert error["frames"][0]["line_number"] == 2
        assert 'File "<cell ' in error["traceback_text"]
        assert interpreter.run("x = = 1").error["syntax_error"]["column"] == 5


def test_what_is_patched_stays_patched(interpreter: Interpreter) -> None:
    """The state is the user's: nothing is put back behind its back."""
    interpreter.ok("import builtins, sys\nbuiltins.len = lambda x: 42")
    assert interpreter.ok("len('')").text == "42"
    interpreter.run("1/0")
    assert interpreter.ok("len('')").text == "42"
    interpreter.ok(
        "calls = []\ndef trace(frame, event, arg): calls.append(frame.f_code.co_name)\nsys.settrace(trace)"
    )
    interpreter.ok("def f(): pass\nf()")
    assert interpreter.ok("sys.settrace(None)\n'f' in calls").text == "True"
    interpreter.ok("import json\nlimit = sys.getrecursionlimit()\nsys.setrecursionlimit(77)")
    assert interpreter.ok("sys.getrecursionlimit()").text == "77"


def test_the_runner_is_not_traced(interpreter: Interpreter) -> None:
    """A trace function of the user's sees the user's code from the beginning of the next cell, and no main loop."""
    interpreter.ok(
        "import sys\nseen = set()\ndef trace(frame, event, arg): seen.add(frame.f_code.co_filename)\n"
        "sys.settrace(trace)"
    )
    interpreter.ok("pass")
    done = interpreter.ok("sys.settrace(None)\nsorted(seen)")
    assert "<cell 2>" in (done.text or "")
    assert "session.py" not in (done.text or "")
    assert "link.py" not in (done.text or "")


ENDINGS = {
    "os._exit": ("import os\nos._exit(3)", 3),
    "signal": ("import os\nos.kill(os.getpid(), 9)", -9),
    "segmentation fault": ("import ctypes\nctypes.string_at(0)", -11),
    "closerange": ("import os\nos.closerange(3, 1024)", 72),
}


@pytest.mark.parametrize(("code", "status"), ENDINGS.values(), ids=ENDINGS)
def test_what_ends_the_process_ends_it(interpreter: Interpreter, code: str, status: int) -> None:
    """The supervisor learns it from the process's death, or from the end of the channel."""
    interpreter.start(code)
    with pytest.raises(Died) as died:
        interpreter.finish()
    assert os.waitstatus_to_exitcode(died.value.status) == status


def test_the_end_of_the_supervisor_is_the_end(interpreter: Interpreter) -> None:
    """An interpreter whose channel ends exits."""
    interpreter.hang_up()
    assert os.waitstatus_to_exitcode(interpreter.wait()) == 0
