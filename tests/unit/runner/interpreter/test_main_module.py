"""``__main__`` of a session is what a script's or a prompt's is."""

from __future__ import annotations

import pytest

from tests.unit.runner.interpreter.harness import Interpreter

TRUE = [
    "__name__ == '__main__'",
    "'__file__' not in globals()",
    "__spec__ is None and __doc__ is None and __package__ is None",
    "__import__('sys').modules['__main__'].__dict__ is globals()",
    "__builtins__ is __import__('builtins')",
    "__import__('sys').argv == ['']",
    "__import__('sys').path[0] == ''",
    "not hasattr(__import__('sys'), 'ps1')",
    "sorted(globals()) == ['__builtins__', '__doc__', '__loader__', '__name__', '__package__', '__spec__']",
]


@pytest.mark.parametrize("code", TRUE)
def test_a_fresh_main(interpreter: Interpreter, code: str) -> None:
    """Nothing of the runner is in it."""
    assert interpreter.ok(code).text == "True"


def test_the_main_guard_runs(interpreter: Interpreter) -> None:
    """``if __name__ == "__main__"``."""
    assert interpreter.ok("if __name__ == '__main__':\n    print('main')").stdout == "main\n"


def test_classes_of_the_session_pickle_in_it(interpreter: Interpreter) -> None:
    """By their name in ``__main__``."""
    interpreter.ok("import pickle\nclass K:\n    pass\ndef f(): return 5")
    assert interpreter.ok("type(pickle.loads(pickle.dumps(K()))) is K").text == "True"
    assert interpreter.ok("pickle.loads(pickle.dumps(f)) is f").text == "True"
    assert interpreter.ok("K.__module__, repr(K)").text == "('__main__', \"<class '__main__.K'>\")"


def test_files_of_the_workspace_are_modules(interpreter: Interpreter) -> None:
    """The current directory comes first, also after a change of it."""
    (interpreter.workspace / "first.py").write_text("value = 1")
    (interpreter.workspace / "sub").mkdir()
    (interpreter.workspace / "sub" / "second.py").write_text("value = 2")
    assert interpreter.ok("import first\nfirst.value").text == "1"
    assert interpreter.ok("import os\nos.chdir('sub')\nimport second\nsecond.value").text == "2"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_works(interpreter: Interpreter, method: str) -> None:
    """All three methods; functions of the session where the child has its memory, of modules everywhere."""
    code = (
        f"import multiprocessing\ncontext = multiprocessing.get_context({method!r})\n"
        "process = context.Process(target=print, args=('child',))\nprocess.start()\nprocess.join()\nprocess.exitcode"
    )
    done = interpreter.ok(code)
    assert (done.text, done.stdout, done.stderr) == ("0", "child\n", "")
    pool = "with context.Pool(2) as pool:\n    result = pool.map({}, [1, -2])\nresult"
    assert interpreter.ok(pool.format("abs")).text == "[1, 2]"
    if method == "fork":
        interpreter.ok("def twice(n): return 2 * n")
        assert interpreter.ok(pool.format("twice")).text == "[2, -4]"
    assert interpreter.ok("1").stdout == ""


def test_subprocess_and_threads_work(interpreter: Interpreter) -> None:
    """Signals are not blocked in children; executors run."""
    code = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', {!r}], stdout=-1).stdout.decode()"
    child = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.getsignal(2).__name__)"
    assert interpreter.ok(code.format(child)).text == repr("set() default_int_handler\n")
    executor = (
        "from concurrent.futures import *\nwith ThreadPoolExecutor() as e: r = list(e.map(abs, [-1]))\nr"
    )
    assert interpreter.ok(executor).text == "[1]"


def test_dataclasses_annotations_and_typing_find_the_module(interpreter: Interpreter) -> None:
    """What looks up ``sys.modules[cls.__module__]``."""
    code = (
        "from __future__ import annotations\nimport dataclasses, typing\n"
        "@dataclasses.dataclass\nclass D:\n    a: int = 1\n"
        "    b: list[D] = dataclasses.field(default_factory=list)\ntyping.get_type_hints(D)['a'], D()"
    )
    assert interpreter.ok(code).text == "(<class 'int'>, D(a=1, b=[]))"
    assert interpreter.ok("x: int = 5\n__annotations__").text in ("{'x': <class 'int'>}", "{'x': 'int'}")
