"""The first things that a checkpoint must hold."""

from __future__ import annotations

from collections.abc import Callable

from tests.unit.runner.interpreter.checkpoints.plane import Plane
from tests.unit.runner.interpreter.harness import Interpreter

Transfer = Callable[[Interpreter], Interpreter]


def test_aliases_survive(interpreter: Interpreter, transfer: Transfer):
    """Variables that share objects share them after a restore."""
    interpreter.ok("a = [1]; b = [a]; c = {'x': b}; d = a; n = 5")
    restored = transfer(interpreter)
    assert restored.ok("b[0] is a, c['x'] is b, d is a, n").text == "(True, True, True, 5)"


def test_functions_belong_to_the_session(interpreter: Interpreter, transfer: Transfer):
    """A function moves the session's globals, and sees later ones."""
    interpreter.ok(
        "counter = 0\ndef bump():\n    global counter\n    counter += 1\n    return later\nbump.tag = 1"
    )
    restored = transfer(interpreter)
    assert (
        restored.ok("later = 7\nbump(), counter, bump.tag, bump.__globals__ is globals()").text
        == "(7, 1, 1, True)"
    )


def test_classes_are_those_of_their_instances(interpreter: Interpreter, transfer: Transfer):
    """An instance's class is the one that the name is bound to, whoever was restored first."""
    interpreter.ok(
        "class K:\n    total = []\n    def who(self): return later\nk = K(); K.total.append(k); m = K()"
    )
    restored = transfer(interpreter)
    text = restored.ok("later = 3\ntype(k) is K, K.total[0] is k, type(m) is K, m.who()").text
    assert text == "(True, True, True, 3)"


def test_one_value_never_costs_another(
    interpreter: Interpreter, plane: Plane, start: Callable[..., Interpreter]
):
    """What has no pickle is lost with its reason; its neighbours are exact."""
    interpreter.ok(
        "import socket\ng = (x for x in 'ab')\ns = socket.socket()\nf = open('/dev/null')\na = [1]\nb = [a]"
    )
    manifest = plane.checkpoint(interpreter)
    assert manifest.exact == {"a", "b", "socket"}
    assert manifest.lost == {
        "g": "a generator cannot be saved",
        "s": "a socket cannot be saved",
        "f": "an open file cannot be saved",
    }
    restored = start()
    loaded = plane.load(restored, manifest)
    assert loaded.ok
    assert loaded.lost == manifest.lost
    assert restored.ok("b[0] is a, 'g' in globals(), socket.__name__").text == "(True, False, 'socket')"


def test_files_come_back(interpreter: Interpreter, transfer: Transfer):
    """Contents, modes, times, links and directories are as they were; what else was there is gone."""
    interpreter.ok(
        "import os\nos.makedirs('d/e')\nopen('d/e/f', 'w').write('x' * 3_000_000)\nos.symlink('d/e/f', 'l')\n"
        "open('g', 'w').write('small')\nos.chmod('g', 0o640)\nos.utime('g', ns=(1, 123456789))\nos.chdir('d')"
    )
    restored = transfer(interpreter)
    text = restored.ok(
        "st = os.stat('../g'); (open('e/f').read() == 'x' * 3_000_000, os.readlink('../l'), oct(st.st_mode), "
        "st.st_mtime_ns, sorted(os.listdir('..')), os.path.basename(os.getcwd()))"
    ).text
    assert text == "(True, 'd/e/f', '0o100640', 123456789, ['d', 'g', 'l'], 'd')"
