"""A checkpoint after a change costs that change."""

from __future__ import annotations

from collections.abc import Callable

from tests.unit.runner.interpreter.checkpoints.plane import Manifest, Plane
from tests.unit.runner.interpreter.harness import Interpreter

MEGABYTE = 1 << 20


def new(manifest: Manifest) -> set[str]:
    """Return the variables that were saved anew."""
    return {
        each["name"]
        for group in manifest.groups
        if group["id"] not in manifest.kept
        for each in group["variables"]
    }


def test_only_what_changed_is_saved_anew(interpreter: Interpreter, plane: Plane):
    """Of ten large variables one is changed: nine are kept, and the store gets little more than that one."""
    interpreter.ok("for i in range(10): globals()[f'v{i}'] = bytearray([i]) * 2_000_000")
    first = plane.checkpoint(interpreter, "one")
    assert first.new_bytes > 10 * 2_000_000
    interpreter.ok("v3[5] = 77")
    second = plane.checkpoint(interpreter, "two")
    assert {"v3"} <= new(second) <= {"v3", "i"}
    assert second.new_bytes < 1.1 * 2_000_000
    assert second.exact == first.exact


def test_a_chain_of_checkpoints_restores_the_newest_state(
    interpreter: Interpreter, plane: Plane, start: Callable[..., Interpreter]
):
    """Kept groups and new ones make one state, whatever was rebound, deleted or shared in between."""
    steps = [
        "a = [1]; b = [a]; n = 0\nclass K: pass\nk = K(); xs = [K()] * 100",
        "n += 1",
        "a.append(2)",
        "c = [list(range(100)), a]",
        "del b",
        "K.v = 5",
        "def f(): return K\nxs.append(f)",
        "k = [k, c]",
        "c.clear()",
    ]
    manifest = None
    for number, step in enumerate(steps):
        interpreter.ok(step)
        manifest = plane.checkpoint(interpreter, str(number))
        assert not manifest.lost
    assert manifest is not None
    restored = start()
    assert plane.load(restored, manifest).ok
    facts = (
        "(a, 'b' in globals(), n, c, k[1] is c, type(k[0]) is K, K.v, xs[-1]() is K, type(xs[0]) is K, "
        "xs[0] is xs[99])"
    )
    assert restored.ok(facts).text == interpreter.ok(facts).text
    assert restored.ok(facts).text == "([1, 2], False, 1, [], True, True, 5, True, True, True)"


def test_new_sharing_is_seen(interpreter: Interpreter, plane: Plane, start: Callable[..., Interpreter]):
    """A variable that has not changed itself is saved again with one that now holds a part of it."""
    interpreter.ok("a = [[1], list(range(1000))]; b = [list(range(1000))]")
    plane.checkpoint(interpreter, "one")
    interpreter.ok("b.append(a[0])")
    second = plane.checkpoint(interpreter, "two")
    restored = start()
    assert plane.load(restored, second).ok
    assert restored.ok("b[1] is a[0]").text == "True"


def test_instances_follow_their_class(
    interpreter: Interpreter, plane: Plane, start: Callable[..., Interpreter]
):
    """A class that was defined anew is not that of the instances there were."""
    interpreter.ok("class K:\n    n = 1\nold = [K()] * 100")
    plane.checkpoint(interpreter, "one")
    interpreter.ok("class K:\n    n = 2\nnew = [K()] * 100")
    second = plane.checkpoint(interpreter, "two")
    restored = start()
    assert plane.load(restored, second).ok
    assert (
        restored.ok("old[0].n, new[0].n, type(new[0]) is K, type(old[0]) is K").text == "(1, 2, True, False)"
    )


def test_a_class_without_a_name_is_looked_at_each_time(
    interpreter: Interpreter, plane: Plane, start: Callable[..., Interpreter]
):
    """What changes in a class that only a subclass or an instance leads to is no variable's change, and is saved."""
    interpreter.ok("class K:\n    n = []\nold = K()\nclass K(K): ...")
    plane.checkpoint(interpreter, "one")
    interpreter.ok("type(old).n.append(1)")
    second = plane.checkpoint(interpreter, "two")
    restored = start()
    assert plane.load(restored, second).ok
    assert restored.ok("K.n, old.n is K.n").text == "([1], True)"


def test_a_checkpoint_that_failed_counts_for_nothing(interpreter: Interpreter, plane: Plane):
    """What changed before it is saved by the next one."""
    interpreter.ok("a = [1] * 100; b = [2] * 100")
    plane.checkpoint(interpreter, "one")
    interpreter.ok("a.append(3)")
    plane.checkpoint(interpreter, "two", durable=False)
    interpreter.ok("b.append(3)")
    third = plane.checkpoint(interpreter, "three")
    assert new(third) == {"a", "b"}


def test_after_a_restore_changes_are_counted_from_it(
    interpreter: Interpreter, plane: Plane, start: Callable[..., Interpreter]
):
    """The checkpoint that was loaded is the base of the next."""
    interpreter.ok("a = [1] * 100; b = [2] * 100")
    first = plane.checkpoint(interpreter, "one")
    restored = start()
    assert plane.load(restored, first, checkpoint_id="one").ok
    restored.ok("b.append(3)")
    second = plane.checkpoint(restored, "two")
    assert new(second) == {"b"}


def test_files_that_are_as_they_were_are_not_read(interpreter: Interpreter, plane: Plane):
    """A file is known by inode, size and times; a new one, a longer one and one of another mode are told anew."""
    interpreter.ok(
        "import os, time\nfor n in 'abcd': open(n, 'w').write(n * 100)\nos.mkdir('e')\n"
        "until = time.monotonic() + 0.05\nwhile time.monotonic() < until: pass"
    )
    first = plane.checkpoint(interpreter, "one")
    interpreter.ok("open('b', 'a').write('!'); os.chmod('c', 0o600); os.remove('d'); open('f', 'w').close()")
    second = plane.checkpoint(interpreter, "two")
    assert second.kept_files == {"a"}
    assert [each["path"] for each in second.files] == ["a", "b", "c", "e", "f"]
    assert second.file("b")["size"] == 101
    assert second.file("c")["mode"] != first.file("c")["mode"]


def test_a_file_of_the_same_size_and_time_is_read_again(interpreter: Interpreter, plane: Plane):
    """Whoever writes a file and sets its time back cannot set back the time of that."""
    interpreter.ok("open('a', 'w').write('x')")
    first = plane.checkpoint(interpreter, "one")
    interpreter.ok(
        "import os\nst = os.stat('a'); open('a', 'w').write('y')\n"
        "os.utime('a', ns=(st.st_atime_ns, st.st_mtime_ns))"
    )
    second = plane.checkpoint(interpreter, "two")
    assert second.file("a")["mtime_ns"] == first.file("a")["mtime_ns"]
    assert second.file("a")["sha256"] != first.file("a")["sha256"]
