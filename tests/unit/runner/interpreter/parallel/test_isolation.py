"""Functions of the session see the operation's own copy of the names; what cannot is named."""

from __future__ import annotations

import pytest

from tests.unit.runner.interpreter.parallel.harness import Beside, warnings_of

SESSION = """
import functools
n = 1
def read(): return n
def write(v):
    global n
    n = v
def delete():
    global n
    del n
def add():
    global fresh
    fresh = 1
def deco(inner):
    @functools.wraps(inner)
    def outer(*a):
        return inner(*a)
    return outer
@deco
def decorated():
    global n
    n += 1
    return n
partly = functools.partial(write, 7)
@functools.lru_cache
def cached(): return n
def make():
    count = 0
    def f():
        global n
        n += 1
        return n
    return f
closure = make()
def fact(k):
    global n
    n = k
    return 1 if k == 0 else k * fact(k - 1)
class K:
    def bump(self):
        global n
        n += 1
        return n
    def see(self): return n
    @staticmethod
    def still(): return 5
k = K()
handlers = {'read': read, 'write': write}
bound = k.bump
def gen():
    while True: yield n
started = gen()
next(started);
"""

CALLS = {
    "reads": ("n = 5\nread()", "5"),
    "writes": ("write(5)\nread(), n", "(5, 5)"),
    "deletes": ("delete()\n'n' in globals()", "False"),
    "adds": ("add()\nfresh", "1"),
    "decorated": ("n = 5\ndecorated(), n", "(6, 6)"),
    "partial": ("partly()\nn", "7"),
    "cached": ("n = 5\ncached()", "5"),
    "closure": ("n = 5\nclosure(), n", "(6, 6)"),
    "recursion": ("fact(3), n", "(6, 0)"),
    "alias": ("other = write\nother(5)\nn", "5"),
    "passed on": ("list(map(write, [5, 6]))\nn", "6"),
    "in a new container": ("d = {'w': write}\nd['w'](9)\nn", "9"),
    "a new class that inherits": ("class L(K):\n  def more(self):\n    write(9)\nL().more()\nn", "9"),
}


@pytest.mark.parametrize(("code", "text"), CALLS.values(), ids=CALLS)
def test_functions_of_the_session_see_the_copy(beside: Beside, code: str, text: str) -> None:
    """What they read and write is isolated: the session's is as it was when the operation fails."""
    beside.interpreter.ok(SESSION)
    done = beside.run(code)
    assert done.ok, done.error
    assert done.text == text
    assert warnings_of(done, "NAMES_NOT_REBOUND") == []


@pytest.mark.parametrize("code", [row[0] for row in CALLS.values()], ids=CALLS)
def test_what_they_wrote_is_dropped_where_it_fails(beside: Beside, code: str) -> None:
    """STORE_GLOBAL and DELETE_GLOBAL in functions of the session among it."""
    beside.interpreter.ok(SESSION)
    assert not beside.run(f"{code}\n1/0").ok
    assert beside.interpreter.ok("n, 'fresh' in globals()").text == "(1, False)"


def test_functions_of_the_session_stay_what_they_are(beside: Beside) -> None:
    """After the merge there is still one of each, also where the operation bound it to another name."""
    beside.interpreter.ok(SESSION + "\nwrite.calls = 0\nbefore = write, decorated, closure, partly, cached")
    beside.ok("again = write\nwrite.calls += 1\nd = {'w': write}\nwrite(3)")
    code = (
        "again is write, (write, decorated, closure, partly, cached) == before, write.calls, n, "
        "d['w'](8), n, write.__globals__ is globals(), d['w'].__globals__ is globals()"
    )
    assert beside.interpreter.ok(code).text == "(True, True, 1, 3, None, 8, True, True)"


SEEN = {
    "a method that writes": ("k.bump()", ["K.bump"]),
    "a method that reads what was changed": ("n = 5\nk.see()", ["K.see"]),
    "a bound method": ("bound()", ["K.bump"]),
    "a function in a container": ("handlers['write'](9)", ["handlers: read", "handlers: write"]),
    "a started generator": ("n = 5\nnext(started)", ["started"]),
    "a method called by a function of its own": ("def f(): return k.bump()\nf()", ["K.bump"]),
}


@pytest.mark.parametrize(("code", "names"), SEEN.values(), ids=SEEN)
@pytest.mark.parametrize("fails", [False, True])
def test_what_saw_the_sessions_names_is_named(
    beside: Beside, code: str, names: list[str], fails: bool
) -> None:
    """In a warning of the operation, whether it succeeded or failed."""
    beside.interpreter.ok(SESSION)
    done = beside.run(f"{code}\n1/0" if fails else code)
    assert done.ok is not fails
    assert warnings_of(done, "NAMES_NOT_REBOUND") == names


def test_what_it_did_not_touch_is_not_named(beside: Beside) -> None:
    """Methods that see names which nobody changed, or that the operation does not come to."""
    beside.interpreter.ok(SESSION)
    for code in ("k.see()", "k.still()\nm = 5", "other = 5", "n = 5", "next(started)", "handlers['read']()"):
        assert warnings_of(beside.ok(code), "NAMES_NOT_REBOUND") == []


def test_a_name_that_a_method_wrote_is_in_conflict_with_others(beside: Beside) -> None:
    """It was changed in the session, though by no merge."""
    beside.interpreter.ok(SESSION)
    first = beside.begin("input()\nn = 9", allow_input=True)
    question = beside.message().header
    beside.ok("k.bump()")
    beside.interpreter.send(
        {"type": "input", "operation": first, "input_id": question["input_id"], "text": ""}
    )
    assert beside.finish(first).header["conflicts"] == ["n"]
    assert beside.interpreter.ok("n").text == "2"


MUTATIONS = {
    "list": ("items = [1, 2]", "items.append(3)"),
    "list item": ("items = [1, 2]", "items[0] = 5"),
    "dict": ("items = {}", "items['a'] = 1"),
    "dict value": ("items = {'a': 1}", "items['a'] = 2"),
    "set": ("items = {1}", "items.add(2)"),
    "bytearray": ("items = bytearray(3)", "items[1] = 1"),
    "deque": ("import collections; items = collections.deque()", "items.append(1)"),
    "long list": ("items = [0] * 100_000", "items.append(1)"),
    "by a function": ("items = []\ndef put(): items.append(1)", "put()"),
}


@pytest.mark.parametrize(("session", "code"), MUTATIONS.values(), ids=MUTATIONS)
@pytest.mark.parametrize("fails", [False, True])
def test_a_shared_object_that_was_changed_is_named(
    beside: Beside, session: str, code: str, fails: bool
) -> None:
    """It is not undone where the operation fails, and the warning says so."""
    beside.interpreter.ok(session + "\nother = [1]")
    done = beside.run(f"{code}\n1/0" if fails else code)
    assert done.ok is not fails
    assert warnings_of(done, "SHARED_OBJECT_MUTATED") == ["items"]


def test_what_another_changed_is_not_held_against_it(beside: Beside) -> None:
    """Of two beside each other, the one that does not mention the object is not warned of."""
    beside.interpreter.ok("items = []; x = [1]")
    first = beside.begin("input()\ny = list(x)", allow_input=True)
    question = beside.message().header
    assert warnings_of(beside.ok("items.append(1)"), "SHARED_OBJECT_MUTATED") == ["items"]
    beside.interpreter.send(
        {"type": "input", "operation": first, "input_id": question["input_id"], "text": ""}
    )
    assert beside.finish(first).header["warnings"] == []


def test_new_and_rebound_objects_are_its_own(beside: Beside) -> None:
    """No warning where it changed what it made, or put another object in the place of a shared one."""
    beside.interpreter.ok("items = [1]")
    done = beside.ok("mine = []\nmine.append(1)\nitems = [*items, 2]\nitems.append(3)")
    assert done.header["warnings"] == []
