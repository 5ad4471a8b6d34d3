"""What user code writes: all of it, once, in order, whoever writes and whatever is done to the streams."""

from __future__ import annotations

import pytest

from tests.unit.runner.interpreter.harness import Interpreter

PRINTF = "import ctypes\nlibc = ctypes.CDLL(None)\n"


def _streams(interpreter: Interpreter, code: str) -> list[tuple[str, str]]:
    """Run ``code``; return what came, neighbours of one stream joined."""
    joined: list[tuple[str, str]] = []
    for event in interpreter.ok(code).events:
        name = event[0]
        text = event[2]["text/plain"].decode() if name == "display" else event[1].decode()
        if joined and joined[-1][0] == name and name != "display":
            joined[-1] = (name, joined[-1][1] + text)
        else:
            joined.append((name, text))
    return joined


def test_streams_and_displays_keep_their_order(interpreter: Interpreter) -> None:
    """Python's stdout, stderr and displays arrive in the order in which they were written."""
    code = (
        "import sys\nfor n in range(20):\n    print('out', n)\n    print('err', n, file=sys.stderr)\n"
        "    display(n)\n    print('partial', end='')"
    )
    expected: list[tuple[str, str]] = []
    for n in range(20):
        expected += [
            ("stdout", ("partial" if n else "") + f"out {n}\n"),
            ("stderr", f"err {n}\n"),
            ("display", str(n)),
        ]
    assert _streams(interpreter, code) == [*expected, ("stdout", "partial")]


def test_c_code_and_children_keep_their_place_among_lines(interpreter: Interpreter) -> None:
    """Lines of Python, C code and child processes on one stream."""
    code = PRINTF + (
        "import os, subprocess, sys\nfor n in range(3):\n    print('python', n)\n    libc.printf(b'c %d\\n', n)\n"
        "    os.system(f'echo shell {n}')\n    subprocess.run(['echo', 'child', str(n)])\n    os.write(1, b'raw\\n')"
    )
    lines = interpreter.ok(code).stdout.splitlines()
    assert lines == [
        line for n in range(3) for line in (f"python {n}", f"c {n}", f"shell {n}", f"child {n}", "raw")
    ]


def test_nothing_stays_in_a_buffer(interpreter: Interpreter) -> None:
    """Parts of lines are out before the operation is over: Python's, C code's, a replaced stream's."""
    assert interpreter.ok(PRINTF + "libc.printf(b'c part')").stdout == "c part"
    assert interpreter.ok("print('part', end='')").stdout == "part"
    assert (
        interpreter.ok("import sys\nsys.stdout = open(1, 'w', closefd=False)\nprint('mine')").stdout
        == "mine\n"
    )
    assert interpreter.run("print('before', end='')\n1/0").stdout == "before"
    assert (
        interpreter.run("import sys\nsys.stdout.reconfigure(line_buffering=False)\nprint('late')").stdout
        == "late\n"
    )


FORKS = {
    "fork": "import os\nprint('before', end='')\npid = os.fork()\nif pid == 0:\n    print(' child', end='')\n"
    "else:\n    os.waitpid(pid, 0)\n    print(' parent')",
    "fork with C output": PRINTF + "import os\nlibc.printf(b'before')\npid = os.fork()\nif pid == 0:\n"
    "    libc.printf(b' child')\nelse:\n    os.waitpid(pid, 0)\n    libc.printf(b' parent\\n')",
    "multiprocessing": "import multiprocessing as m\nprint('before', end='')\ncontext = m.get_context('fork')\n"
    "child = context.Process(target=print, args=(' child',), kwargs={'end': ''})\nchild.start()\nchild.join()\n"
    "print(' parent')",
}


@pytest.mark.parametrize("code", FORKS.values(), ids=FORKS)
def test_a_fork_loses_and_doubles_nothing(interpreter: Interpreter, code: str) -> None:
    """What was written before it comes once, what the child wrote comes too."""
    assert interpreter.ok(code).stdout == "before child parent\n"


DAMAGE = [
    "import sys; sys.stdout.close()",
    "import sys; sys.stdout.detach()",
    "import sys, io; sys.stdout = io.StringIO()",
    "import sys; sys.stdout = None",
    "import sys; del sys.stdout",
    "import sys; sys.stdout = object()",
    "import os; os.close(1)",
    "import os; os.close(0); os.close(1); os.close(2)",
    "import os; os.dup2(os.open('log', os.O_CREAT | os.O_WRONLY), 1); print('into the file')",
    "import os; os.dup2(os.open('/dev/null', os.O_WRONLY), 1)",
    "import sys, os; sys.stdout = os.fdopen(1, 'w')",
    "import sys, os\nsys.stdout = os.fdopen(1, 'w')\nloop = [sys.stdout]\nloop.append(loop)\ndel loop",
    "import os; os.set_blocking(1, False)",
    "import sys; sys.__stdout__ = sys.__stderr__ = None",
    "exit()",
    "import sys\nclass Own:\n    def __del__(self): raise SystemExit\n    def write(self, t): pass\nsys.stdout = Own()",
]


@pytest.mark.parametrize("code", DAMAGE)
def test_damaged_streams_are_whole_in_the_next_operation(interpreter: Interpreter, code: str) -> None:
    """Closed, replaced, redirected: the operation may suffer, the next does not."""
    interpreter.run(code)
    done = interpreter.ok(
        "import os, sys\nprint('out')\nprint('err', file=sys.stderr)\nos.system('echo child')"
    )
    assert done.stdout == "out\nchild\n"
    assert done.stderr.endswith("err\n")
    assert interpreter.run("input()").error["type_name"] == "EOFError"


def test_there_is_no_input(interpreter: Interpreter) -> None:
    """``input`` shows its prompt and is at the end at once; reading gives nothing."""
    done = interpreter.run("input('name? ')")
    assert done.error["type_name"] == "EOFError"
    assert done.stdout == "name? "
    assert (
        interpreter.ok("import sys\nsys.stdin.read(), sys.stdin.readline(), list(sys.stdin)").text
        == "('', '', [])"
    )
    assert interpreter.ok("import subprocess\nsubprocess.run(['cat'], timeout=9).returncode").text == "0"


TEXTS = [
    ("'ä€𝄞'", "ä€𝄞"),
    ("'\\ud800'", "\\ud800"),
    ("'\\udcff'", "\\udcff"),
    ("'\\0'", "\0"),
    ("b'\\xff'", "b'\\xff'"),
    ("'a\\r\\nb'", "a\r\nb"),
]


@pytest.mark.parametrize(("value", "text"), TEXTS)
def test_all_text_can_be_printed(interpreter: Interpreter, value: str, text: str) -> None:
    """UTF-8, what that cannot carry backslash-escaped, line ends as they are."""
    assert interpreter.ok(f"print({value})").stdout == text + "\n"


def test_bytes_go_as_they_are(interpreter: Interpreter) -> None:
    """``sys.stdout.buffer`` and the descriptor take any bytes."""
    code = "import sys, os\nprint('x', end='', flush=True)\nsys.stdout.buffer.write(b'\\xff\\0')\nos.write(1, b'\\xfe')"
    done = interpreter.ok(code + ";")
    assert b"".join(event[1] for event in done.events) == b"x\xff\0\xfe"


def test_a_flood_arrives_whole(interpreter: Interpreter) -> None:
    """More than any pipe holds, in small and in large pieces."""
    assert len(interpreter.ok("print('x' * 20_000_000)").stdout) == 20_000_001
    assert len(interpreter.ok("for n in range(100_000): print(n)").stdout) == 588_890


def test_a_reader_that_stands_still_delays_a_change_of_streams_by_little(interpreter: Interpreter) -> None:
    """A fifth of a second once, then 20 ms each time, not for ever: order is kept as far as that goes."""
    interpreter.reading = False
    code = "import sys, time\nbegin = time.monotonic()\nfor n in range(5):\n  print(n)\n  print(n, file=sys.stderr)\n"
    done = interpreter.ok(code + "time.monotonic() - begin")
    assert 0.3 < done.json < 2
    assert done.stdout == done.stderr == "0\n1\n2\n3\n4\n"


def test_a_thread_writes_on_after_its_operation(interpreter: Interpreter) -> None:
    """And between operations: its output reaches the pipe, and its displays come as text."""
    interpreter.ok(
        "import threading\ngo = threading.Event()\ndef late():\n    go.wait()\n    print('late')\n    display(5)\n"
        "thread = threading.Thread(target=late)\nthread.start()\nimport signal\n"
        "def release(*_): go.set()\nthreading.Timer(0.05, go.set).start()"
    )
    interpreter.output_until("late\n5\n")
    assert interpreter.ok("thread.join()").displays == []
