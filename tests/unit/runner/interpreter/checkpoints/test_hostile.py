"""State that resists: what it does costs itself, and a bounded time."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable

import pytest

from tests.unit.runner.interpreter.checkpoints.plane import (
    Ended,
    Manifest,
    Peer,
    Plane,
    begin_writing,
    send_with,
    without_type,
)
from tests.unit.runner.interpreter.harness import SECONDS, Interpreter

CLASS = "import os, sys, time, signal, builtins\nclass Hostile:\n    def __reduce__(self):\n        {}\n"
FAILING = {
    "loops": ("while True: pass", "takes too long"),
    "sleeps": ("time.sleep(1000)", "takes too long"),
    "swallows-what-ends-it": (
        "while True:\n            try:\n                while True: pass\n            except BaseException: pass",
        "",
    ),
    "recurses": ("return self.__reduce__()", "nested too deeply"),
    "never-ends": ("return (list, ([Hostile()],))", "nested too deeply"),
    "takes-memory": ("return bytes(1 << 40)", "memory"),
    "raises-an-interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "spoils-builtins": (
        "builtins.len = builtins.list = builtins.type = None; raise ValueError('spoilt')",
        "spoilt",
    ),
}
DEADLY = {
    "closes-everything": "os.closerange(0, 300); raise ValueError('closed')",
    "exits": "os._exit(3)",
    "is-killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "blocks-signals": "signal.pthread_sigmask(signal.SIG_SETMASK, range(1, 65)); time.sleep(1000)",
}


@pytest.mark.parametrize(("body", "reason"), FAILING.values(), ids=FAILING)
def test_what_resists_is_lost_alone(interpreter: Interpreter, plane: Plane, body: str, reason: str):
    """It is lost with a reason; the variables beside it are exact, and the session lives on as it was."""
    interpreter.ok(CLASS.format(body) + "a = [1]; h = Hostile(); z = [a]")
    if not reason:
        peer, pid = begin_writing(interpreter, "one")
        assert hangs_at(plane, peer) == "h"
        end(interpreter, peer, pid)
        manifest = plane.checkpoint(interpreter, "two", skip=["h"])
        reason = "hung"
    else:
        manifest = plane.checkpoint(interpreter)
    assert reason in manifest.lost["h"]
    assert {"a", "z", "Hostile"} <= manifest.exact
    assert (
        interpreter.ok("len(a), z[0] is a, type(h) is Hostile, os.path.exists('made')").text
        == "(1, True, True, False)"
    )


@pytest.mark.parametrize("body", DEADLY.values(), ids=DEADLY)
def test_whom_the_writer_dies_of_is_known(
    interpreter: Interpreter, plane: Plane, start: Callable[..., Interpreter], body: str
):
    """The writer says what it turns to; another one that leaves it alone saves the rest."""
    interpreter.ok(CLASS.format(body) + "a = [1]; h = Hostile(); z = [a]")
    peer, pid = begin_writing(interpreter, "one")
    assert hangs_at(plane, peer) == "h"
    end(interpreter, peer, pid)
    manifest = plane.checkpoint(interpreter, "two", skip=["h"])
    assert "hung" in manifest.lost["h"]
    restored = start()
    assert plane.load(restored, manifest).ok
    assert restored.ok("z[0] is a").text == "True"


def hangs_at(plane: Plane, peer: Peer) -> str:
    """Listen to a writer until it says nothing any more; return what it was at."""
    peer.sock.settimeout(1.5)
    assert peer.hear()["base"] == ""
    peer.say("begin", known=False, skip=[], digests=False)
    at = ""
    try:
        while True:
            header = peer.hear()
            if header["type"] == "at":
                (at,) = header["names"]
            elif header["type"] == "group":
                at = ""
    except (TimeoutError, Ended, ConnectionResetError):
        return at


def end(interpreter: Interpreter, peer: Peer, pid: int) -> None:
    """Do away with a writer."""
    pidfd = os.pidfd_open(pid)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert select.select([pidfd], [], [], SECONDS)[0]
    os.close(pidfd)
    interpreter.template.wait(pid)
    peer.sock.close()


def test_nobody_is_asked_to_compare_or_hash_or_show(interpreter: Interpreter, plane: Plane):
    """A walk over the state calls no method of the user's but those of pickling."""
    interpreter.ok(
        "import os\ndef kill(*_): os.kill(os.getpid(), 9)\n"
        "class Meta(type): __instancecheck__ = __subclasscheck__ = kill\n"
        "class O(metaclass=Meta):\n"
        "    __eq__ = __hash__ = __len__ = __iter__ = __bool__ = __repr__ = __sizeof__ = __del__ = kill\n"
        "class L(list): __len__ = __eq__ = __bool__ = kill\n"
        "o = O(); l = L([o])"
    )
    manifest = plane.checkpoint(interpreter)
    assert {"o", "l", "O", "L", "Meta"} <= manifest.exact
    assert interpreter.ok("type(o).__name__").text == "'O'"


def test_a_million_nodes_in_a_row_are_no_danger(interpreter: Interpreter, plane: Plane):
    """What is nested deeper than a pickler can go is lost, not fatal."""
    interpreter.ok("a = None\nfor _ in range(1_000_000): a = [a]\nb = [1]")
    manifest = plane.checkpoint(interpreter)
    assert "nested" in manifest.lost["a"]
    assert "b" in manifest.exact


def test_the_session_is_not_disturbed(interpreter: Interpreter, plane: Plane):
    """What a pickle changes is changed in the copy: counters, files, streams, random numbers, descriptors."""
    interpreter.ok(
        "import random, os\ncalls = 0\nclass K:\n    def __getstate__(self):\n"
        "        global calls\n        calls += 1; random.random(); print('!'); os.chdir('/'); return 1\n"
        "k = K(); random.seed(1); r, w = os.pipe(); f = open('x', 'w+'); f.write('abc'); f.flush(); f.seek(1)"
    )
    plane.checkpoint(interpreter)
    done = interpreter.ok(
        "before = random.random(); random.seed(1)\n"
        "calls, before == random.random(), os.getcwd() != '/', f.read(), os.write(w, b'x')"
    )
    assert done.text == "(0, True, True, 'bc', 1)"
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("python", "message"),
    [("3.10.2", "needs Python 3.10.2"), ("2.7", "needs Python 2.7"), ("", "needs Python")],
)
def test_another_python_is_refused(
    interpreter: Interpreter, plane: Plane, start: Callable[..., Interpreter], python: str, message: str
):
    """The minor version must be the same."""
    interpreter.ok("a = 1")
    manifest = plane.checkpoint(interpreter)
    target = start()
    loaded = plane.load(target, manifest, python=python)
    assert loaded.said["reason"] == loaded.told["reason"] == "CHECKPOINT_INCOMPATIBLE"
    assert message in loaded.told["message"]


def missing_package(interpreter: Interpreter, plane: Plane) -> Manifest:
    """Save a state that needs a module of the workspace, and take that away from it."""
    interpreter.ok(
        "open('gone.py', 'w').write('class K: v = 1')\nimport gone\na = [1]; k = gone.K(); b = [a]; c = [k, a]"
    )
    manifest = plane.checkpoint(interpreter)
    manifest.files = [each for each in manifest.files if each["path"] != "gone.py"]
    return manifest


def test_a_missing_package_is_refused_by_name(
    interpreter: Interpreter, plane: Plane, start: Callable[..., Interpreter]
):
    """All or nothing."""
    target = start()
    loaded = plane.load(target, missing_package(interpreter, plane))
    assert loaded.told["type"] == "load_refused"
    assert loaded.told["reason"] == "CHECKPOINT_INCOMPATIBLE"
    assert "needs the package gone" in loaded.told["message"]


def test_losses_can_be_allowed(interpreter: Interpreter, plane: Plane, start: Callable[..., Interpreter]):
    """Only what cannot be had is lost, each variable with its reason."""
    target = start()
    loaded = plane.load(target, missing_package(interpreter, plane), allow_lost=True)
    assert loaded.ok
    assert set(loaded.lost) >= {"gone", "k"}
    assert all("needs the package gone" in reason for reason in loaded.lost.values())
    assert target.ok("a, b[0] is a, 'k' in globals()").text == "([1], True, False)"


def test_a_value_that_does_not_load_is_refused_or_lost(
    interpreter: Interpreter, plane: Plane, start: Callable[..., Interpreter]
):
    """What its own code does while it is loaded is its own affair."""
    interpreter.ok(
        "class K:\n    def __setstate__(self, s): raise ValueError('not again')\n"
        "k = K(); k.x = 1; a = [1]; z = [2]; y = 'x'"
    )
    manifest = plane.checkpoint(interpreter)
    refused = plane.load(start(), manifest)
    assert "k cannot be restored: ValueError: not again" in refused.told["message"]
    target = start()
    loaded = plane.load(target, manifest, allow_lost=True)
    assert loaded.ok
    assert set(loaded.lost) == {"k"}
    assert target.ok("a, z, y, 'k' in globals()").text == "([1], [2], 'x', False)"


def test_a_broken_connection_is_no_answer(
    interpreter: Interpreter, plane: Plane, start: Callable[..., Interpreter]
):
    """A candidate whose state stops coming refuses; nothing of it is left in the workspace."""
    interpreter.ok("open('f', 'w').write('x' * 3_000_000); a = bytearray(3_000_000)")
    manifest = plane.checkpoint(interpreter)
    target = start()
    (target.workspace / "mine").write_text("stays")
    name = next(iter(plane.chunks))
    plane.chunks[name] = b"short"
    ours, theirs = socket.socketpair()
    send_with(target, {"type": "load", "execution_count": 1}, theirs)
    peer = Peer(ours)
    peer.hear()
    peer.say("begin", **without_type(manifest.rest), allow_lost=False, verify=False)
    for file in manifest.files:
        peer.say("file", **without_type(file))
    peer.say("chunks_follow")
    peer.give(b"x" * (1 << 20))
    ours.close()
    told = target.receive("load_refused").header
    assert told["reason"] == "CHECKPOINT_CORRUPT"
    assert [each.name for each in target.workspace.iterdir()] == ["mine"]


def test_secrets_never_leave(interpreter: Interpreter, plane: Plane):
    """A name that was given as a secret is in no manifest, whatever user code made of it."""
    interpreter.send(
        {"type": "setup", "env": {"TOKEN": "hush", "OPEN": "1", "GONE": "2"}, "secret": ["TOKEN", "GONE"]}
    )
    interpreter.receive("setup_done")
    interpreter.ok("import os\nos.environ['TOKEN'] += 'er'; os.environ['OPEN'] = '2'; del os.environ['GONE']")
    manifest = plane.checkpoint(interpreter)
    assert manifest.rest["ambient"]["environment"] == {"set": {"OPEN": "2"}, "unset": []}
    assert "hush" not in str(manifest)
    assert not any(b"hush" in chunk for chunk in plane.chunks.values())
