"""What several operations write at once is told apart, and never mixed."""

from __future__ import annotations

from tests.unit.runner.interpreter.parallel.harness import Beside

LINES = 300


def test_eight_that_print_at_once_are_never_mixed(beside: Beside) -> None:
    """Pieces of a line, whole lines, both streams; each in its order."""
    code = (
        "import sys\nfor i in range({lines}):\n"
        "    print({k}, 'line', i)\n    sys.stdout.write('{k}:'); print(i, end=';')\n    print(i, file=sys.stderr)\n"
        "    sys.stdout.write('x' * 50 + '\\n')"
    )
    operations = [beside.begin(code.format(k=k, lines=LINES)) for k in range(8)]
    for k, operation in enumerate(operations):
        done = beside.finish(operation)
        assert done.stdout == "".join(f"{k} line {i}\n{k}:{i};{'x' * 50}\n" for i in range(LINES))
        assert done.stderr == "".join(f"{i}\n" for i in range(LINES))
    assert beside.raw == []


def test_a_line_comes_at_once(beside: Beside) -> None:
    """And an unfinished one when it is flushed, or when the operation ends."""
    operation = beside.begin(
        "print('first')\nprint('sec', end='', flush=True)\ninput()\nprint('ond', end='')", allow_input=True
    )
    beside.output_until(operation, "first\nsec")
    question = beside.message().header
    beside.interpreter.send(
        {"type": "input", "operation": operation, "input_id": question["input_id"], "text": ""}
    )
    assert beside.finish(operation).stdout == "first\nsecond"


def test_a_million_lines_are_few_messages(beside: Beside) -> None:
    """They are collected for 10 ms, or until they are many."""
    done = beside.ok("for i in range(100_000): print(i)")
    assert done.stdout == "".join(f"{i}\n" for i in range(100_000))
    assert len(done.events) < 2_000
    assert max(len(event[1]) for event in done.events) <= 48 * 1024


def test_a_handler_that_holds_the_stream_writes_for_who_logs(beside: Beside) -> None:
    """``logging`` was set up by the session, on the stream of that time; so with anything that kept it."""
    beside.interpreter.ok(
        "import logging, sys\nlogging.basicConfig(stream=sys.stdout, format='%(message)s', force=True)\n"
        "log = logging.getLogger('x')\nkept = sys.stderr"
    )
    operations = [
        beside.begin(f"for i in range(50): log.warning('{k} %d', i); kept.write('{k}\\n')") for k in range(4)
    ]
    for k, operation in enumerate(operations):
        done = beside.finish(operation)
        assert done.stdout == "".join(f"{k} {i}\n" for i in range(50))
        assert done.stderr == f"{k}\n" * 50
    assert beside.interpreter.ok("log.warning('alone')").stdout == "alone\n"


def test_threads_of_an_operation_write_for_it(beside: Beside) -> None:
    """However they are started: Thread, executor, ``_thread``, ``asyncio.to_thread``, a thread of a thread."""
    code = (
        "import threading, _thread, asyncio\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "t = threading.Thread(target=print, args=({k}, 'thread')); t.start(); t.join()\n"
        "with ThreadPoolExecutor(2) as pool: list(pool.map(lambda i: print({k}, 'pool'), range(2)))\n"
        "over = _thread.allocate_lock(); over.acquire()\n"
        "def raw(): print({k}, 'raw'); over.release()\n"
        "_thread.start_new_thread(raw, ()); over.acquire()\n"
        "def outer():\n    i = threading.Thread(target=lambda: print({k}, 'inner')); i.start(); i.join()\n"
        "t = threading.Thread(target=outer); t.start(); t.join()\n"
        "await asyncio.to_thread(print, {k}, 'to_thread')"
    )
    operations = [beside.begin(code.format(k=k)) for k in range(4)]
    for k, operation in enumerate(operations):
        done = beside.finish(operation)
        assert done.ok, done.error
        expected = ["thread", "pool", "pool", "raw", "inner", "to_thread"]
        assert done.stdout.splitlines() == [f"{k} {what}" for what in expected]
    assert beside.raw == []


def test_a_pool_of_the_session_writes_for_who_asks_by_context(beside: Beside) -> None:
    """A context carries the operation, whichever thread it is run in."""
    beside.interpreter.ok(
        "import contextvars\nfrom concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(1)\n"
        "pool.submit(int).result()"
    )
    done = beside.ok("pool.submit(contextvars.copy_context().run, print, 'mine').result()")
    assert done.stdout == "mine\n"


def test_threads_write_to_the_pipe_when_their_operation_is_over(beside: Beside) -> None:
    """What comes then belongs to none."""
    beside.interpreter.ok("import threading\ngo = threading.Event()")
    done = beside.ok(
        "t = threading.Thread(target=lambda: (go.wait(), print('late')))\nt.start()\nprint('in time')"
    )
    assert done.stdout == "in time\n"
    assert beside.interpreter.ok("go.set()\nt.join()").stdout == "late\n"


def test_bytes_are_told_apart_too(beside: Beside) -> None:
    """What is written to ``sys.stdout.buffer``."""
    operations = [
        beside.begin(f"import sys\nfor i in range(50): sys.stdout.buffer.write(b'{k}\\xff\\n')")
        for k in range(4)
    ]
    for k, operation in enumerate(operations):
        done = beside.finish(operation)
        assert done.stdout == f"{k}\\xff\n" * 50


def test_descriptors_stay_raw(beside: Beside) -> None:
    """What C code and children write has no name on it."""
    done = beside.ok(
        "import os, subprocess\nos.write(1, b'raw\\n')\nsubprocess.run(['echo', 'child'])\nprint('named')"
    )
    assert done.stdout == "named\n"
    assert b"".join(data for _, data in beside.raw) == b"raw\nchild\n"


def test_a_forked_child_writes_to_the_pipe(beside: Beside) -> None:
    """It has no say on the channel, and it ends with its cell."""
    done = beside.ok(
        "import os\nprint('before')\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nelse: print('child')\npid > 0"
    )
    assert done.stdout == "before\n"
    assert done.text == "True"
    assert b"".join(data for _, data in beside.raw) == b"child\n"
    assert beside.ok("print('next')").stdout == "next\n"


def test_displays_are_told_apart(beside: Beside) -> None:
    """In their order with what is printed."""
    code = "for i in range(30):\n    print('{k}', i)\n    display({{'text/plain': '{k} %d' % i}}, raw=True)"
    operations = [beside.begin(code.format(k=k)) for k in range(6)]
    for k, operation in enumerate(operations):
        done = beside.finish(operation)
        told = [event[1] if event[0] == "stdout" else event[2]["text/plain"] for event in done.events]
        assert told == [part for i in range(30) for part in (f"{k} {i}\n".encode(), f"{k} {i}".encode())]


def test_figures_are_told_apart(rich_beside: Beside) -> None:
    """The current figure of pyplot is that of the operation; each shows its own at its end, or when it asks."""
    rich_beside.interpreter.ok("import matplotlib.pyplot as plt")
    code = (
        "for i in range({k}):\n    plt.figure(); plt.plot([1, 2]); plt.title('{k}')\n"
        "assert len(plt.get_fignums()) == {k}\n"
        "assert all(plt.figure(n).axes[0].get_title() == '{k}' for n in plt.get_fignums())\n{show}"
    )
    operations = [
        rich_beside.begin(code.format(k=k, show="plt.show()" if k % 2 else "")) for k in range(1, 5)
    ]
    for k, operation in zip(range(1, 5), operations, strict=True):
        done = rich_beside.finish(operation)
        assert done.ok, done.error
        assert len(done.displays) == k
        assert all("image/png" in bundle for bundle in done.displays)
    assert rich_beside.interpreter.ok("plt.get_fignums()").text == "[]"


def test_redirection_is_each_ones_own(beside: Beside) -> None:
    """Of the streams, and of input; what the session's logging handlers write is not redirected, as ever."""
    beside.interpreter.ok(
        "import logging, sys\nlogging.basicConfig(stream=sys.stdout, format='%(message)s', force=True)\n"
        "log = logging.getLogger('x')"
    )
    code = (
        "import contextlib, io, sys\nwith contextlib.redirect_stdout(io.StringIO()) as held{k}:\n"
        "    for i{k} in range(200): print({k}, i{k})\n    log.warning('logged {k}')\n    input()\n"
        "print('after {k}')\nsys.stdin = io.StringIO('line {k}\\n')\nsys.stdout is sys.__stdout__, input()"
    )
    operations = [beside.begin(code.format(k=k), allow_input=True) for k in range(4)]
    questions = [beside.message().header for _ in operations]
    assert beside.ok("print('beside')").stdout == "beside\n"
    for question in questions:
        beside.interpreter.send({**question, "type": "input", "text": ""})
    for k, operation in enumerate(operations):
        done = beside.finish(operation)
        assert done.stdout == f"logged {k}\nafter {k}\n"
        assert done.text == f"(True, 'line {k}')"
    for k in range(4):
        lines = "".join(f"{k} {i}\n" for i in range(200))
        assert beside.interpreter.ok(f"held{k}.getvalue() == {lines!r}").text == "True"
    assert (
        beside.interpreter.ok("type(sys).__name__, sys.stdout is sys.__stdout__").text == "('module', True)"
    )
    assert beside.interpreter.ok("type(sys.__dict__['stdout']).__name__").text == "'TextIOWrapper'"


def test_the_last_value_is_that_of_the_newest_merge(beside: Beside) -> None:
    """``_`` within an operation is what it was when it began."""
    beside.interpreter.ok("'session'")
    assert beside.ok("_").text == "'session'"
    assert beside.ok("2").text == "2"
    assert not beside.run("3\n1/0").ok
    assert beside.interpreter.ok("_").text == "2"


def test_streams_are_as_before_when_the_last_has_ended(beside: Beside) -> None:
    """The same objects, without what told writers apart."""
    code = (
        "import sys, _thread, time, threading\n[sys.stdout, sys.stderr, _thread.start_new_thread, time.sleep]"
    )
    beside.interpreter.ok(code)
    beside.interpreter.ok("before = _")
    beside.ok("import threading, time\nprint(1)")
    beside.interpreter.ok("after = [sys.stdout, sys.stderr, _thread.start_new_thread, time.sleep]")
    assert beside.interpreter.ok("all(map(lambda a, b: a is b, before, after))").text == "True"
    assert beside.interpreter.ok("'write' in vars(sys.stdout), type(sys.stdout.write).__name__").text == (
        "(False, 'builtin_function_or_method')"
    )
    assert beside.interpreter.ok("print('plain')").stdout == "plain\n"
