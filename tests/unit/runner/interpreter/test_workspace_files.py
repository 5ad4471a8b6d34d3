"""Files that an operation changed are told with its end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sandbank_runner.files import index
from sandbank_runner.files.changes import ADDED, MODE_CHANGED, MODIFIED, REMOVED
from sandbank_runner.interpreter import workspace_files
from sandbank_runner.interpreter.workspace_files import WorkspaceFiles

from tests.unit.runner.interpreter.harness import Done, Interpreter


def files(done: Done) -> list[list[object]]:
    """Return what an operation is said to have changed, all of it."""
    assert done.header["files_truncated"] is False
    return done.header["files"]


def test_an_operation_tells_what_it_changed(interpreter: Interpreter):
    """Each file once, by what happened to it in all; the next operation tells nothing of it."""
    assert files(interpreter.ok("1")) == []
    done = interpreter.ok("import os\nopen('a', 'w').write('x')\nos.mkdir('d')\nopen('d/b', 'w').write('x')")
    assert files(done) == [["a", ADDED], ["d", ADDED], ["d/b", ADDED]]
    assert files(interpreter.ok("1")) == []
    done = interpreter.ok("os.rename('a', 'c')\nos.chmod('d', 0o700)\nopen('d/b', 'a').write('x')")
    assert files(done) == [["a", REMOVED], ["c", ADDED], ["d", MODE_CHANGED], ["d/b", MODIFIED]]


def test_fast_operations_on_one_file_are_told_apart(interpreter: Interpreter):
    """Same size, one after the other as fast as it goes."""
    interpreter.ok("open('f', 'w').write('00')")
    for number in range(10, 60):
        assert files(interpreter.ok(f"with open('f', 'r+') as f: _ = f.write('{number}')")) == [
            ["f", MODIFIED]
        ]
        assert files(interpreter.ok("1")) == []


def test_what_a_failed_operation_changed_is_told(interpreter: Interpreter):
    """The files are there, whatever became of it."""
    done = interpreter.run("open('a', 'w').write('x')\n1/0")
    assert not done.ok
    assert files(done) == [["a", ADDED]]


def test_what_was_there_before_the_first_operation_is_not_told(start: Callable[..., Interpreter]):
    """An interpreter knows the workspace that it began in."""
    interpreter = start()
    assert files(interpreter.ok("1")) == []


def test_what_others_changed_is_not_told(interpreter: Interpreter):
    """Where the supervisor says so: an upload is not the next operation's."""
    interpreter.ok("1")
    (interpreter.workspace / "uploaded").write_text("x")
    interpreter.start("open('own', 'w').close()", fresh_files=True)
    assert files(interpreter.finish()) == [["own", ADDED]]


def test_names_that_are_not_utf8_are_escaped(interpreter: Interpreter):
    """As in listings of the workspace."""
    done = interpreter.ok("open(b'\\xff', 'wb').close()\nopen('ä', 'w').close()")
    assert files(done) == [["ä", ADDED], ["\\xff", ADDED]]


def test_too_many_changes_are_cut(interpreter: Interpreter):
    """The first thousand by path, and a mark."""
    done = interpreter.ok("for n in range(1100): open(f'{n:04}', 'w').close()")
    assert done.header["files"] == [[f"{n:04}", ADDED] for n in range(1000)]
    assert done.header["files_truncated"] is True
    looked = False
    while not looked:  # where a look was slow, the next ones are put off and say so
        done = interpreter.ok("1")
        assert done.header["files"] == []
        looked = not done.header["files_truncated"]


def test_long_paths_are_cut(interpreter: Interpreter):
    """What is told stays small."""
    done = interpreter.ok(
        "import os\n"
        "for _ in range(15): os.mkdir('x' * 250); os.chdir('x' * 250)\n"
        "for n in range(200): open(f'{n:0100}', 'w').close()"
    )
    assert done.header["files_truncated"] is True
    assert 15 < len(done.header["files"]) < 100


@pytest.mark.parametrize(
    "harm",
    [
        "import builtins\nfor n in ('len', 'isinstance', 'dict', 'set', 'any', 'OSError'): setattr(builtins, n, None)",
        "import os\nos.scandir = os.open = os.close = os.stat = os.fsencode = None",
        "import sys\nsys.modules.pop('sandbank_runner.files.index')",
        "import sandbank_runner.files.index as i\nvars(i).pop('__builtins__')",
        "import sys\nsys.settrace(lambda *_: 1/0)",
    ],
)
def test_user_code_does_not_make_it_blind(interpreter: Interpreter, harm: str):
    """What it needs was looked up before."""
    interpreter.run(harm)
    done = interpreter.run("import io\nio.open('a', 'w').close()")
    assert ["a", ADDED] in files(done)


def test_where_looking_fails_that_is_said(interpreter: Interpreter):
    """An audit hook that minds costs the report and nothing else; when it is over, so is that."""
    interpreter.ok("mind = False")
    interpreter.ok(
        "import sys\ndef hook(name, _):\n    if name == 'os.scandir' and mind: raise RuntimeError('no')\n"
        "sys.addaudithook(hook)"
    )
    done = interpreter.ok("open('a', 'w').close()\nmind = True")
    assert (done.header["files"], done.header["files_truncated"]) == ([], True)
    done = interpreter.ok("mind = False")
    assert (done.header["files"], done.header["files_truncated"]) == ([["a", ADDED]], True)
    assert files(interpreter.ok("1")) == []


def test_a_workspace_that_is_gone_is_said(interpreter: Interpreter):
    """Nothing is known then."""
    done = interpreter.ok("import os\nos.rmdir(os.getcwd())")
    assert (done.header["files"], done.header["files_truncated"]) == ([], True)


def test_looks_that_take_long_are_taken_rarely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What cannot be looked at after every operation is looked at when it is worth it; both are said."""
    now = 100.0
    monkeypatch.setattr(workspace_files, "_monotonic", lambda: now)
    watched = WorkspaceFiles(str(tmp_path))
    (tmp_path / "a").touch()
    assert watched.since_operation() == ([["a", ADDED]], False)
    watched._seconds = 0.010
    (tmp_path / "b").touch()
    now += 0.199
    assert watched.since_operation() == ([], True)
    now += 0.002
    assert watched.since_operation() == ([["b", ADDED]], True)
    assert watched.since_operation() == ([], False)


def test_looking_at_a_small_workspace_costs_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Counted in what is opened: one directory, and nothing that has been there for long."""
    for number in range(10):
        (tmp_path / str(number)).touch()
    monkeypatch.setattr(index, "_clock", lambda _: 2**62)
    opened: list[object] = []
    listening = False

    def hook(name: str, arguments: tuple[object, ...]) -> None:
        if listening and name in ("open", "os.scandir"):
            opened.append(arguments[0])

    watched = WorkspaceFiles(str(tmp_path))
    sys.addaudithook(hook)
    listening = True
    assert watched.since_operation() == ([], False)
    listening = False
    assert len(opened) == 2
