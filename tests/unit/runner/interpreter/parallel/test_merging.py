"""What an operation bound or deleted becomes the session's when it succeeds, all of it or nothing."""

from __future__ import annotations

import pytest

from tests.unit.runner.interpreter.parallel.harness import Beside


def test_what_it_bound_is_merged(beside: Beside) -> None:
    """New names, other values, deleted names; its result and its ``_``."""
    beside.interpreter.ok("a = 1; b = 2; c = 3")
    done = beside.ok("a = 10\nd = a + b\ndel c\nd")
    assert done.text == "12"
    assert done.header["conflicts"] == []
    assert done.header["warnings"] == []
    assert beside.interpreter.ok("a, b, 'c' in globals(), d, _").text == "(10, 2, False, 12, 12)"


def test_what_it_bound_is_dropped_where_it_fails(beside: Beside) -> None:
    """Whether it raised after an assignment, a deletion or an import; the error has the cell's own lines."""
    beside.interpreter.ok("a = 1; b = 2")
    done = beside.run("a = 10\ndel b\nimport json\n\n1/0")
    assert not done.ok
    assert done.error["type_name"] == "ZeroDivisionError"
    assert done.error["frames"][-1]["file_name"] == "<cell 2>"
    assert done.error["frames"][-1]["line_number"] == 5
    assert done.error["frames"][-1]["source_line"] == "1/0"
    assert "sandbank_runner" not in done.error["traceback_text"]
    assert beside.interpreter.ok("a, b, 'json' in globals()").text == "(1, 2, False)"


def test_nobody_sees_half_of_it(beside: Beside) -> None:
    """An operation that begins while another runs has the names as they were before, and keeps them."""
    beside.interpreter.ok("a = b = 0")
    first = beside.begin("a = 1\nprint('half')\ninput()\nb = 1", allow_input=True)
    beside.output_until(first, "half")
    question = beside.message().header
    assert beside.ok("(a, b)").text == "(0, 0)"
    beside.interpreter.send(
        {"type": "input", "operation": first, "input_id": question["input_id"], "text": ""}
    )
    assert beside.finish(first).ok
    assert beside.ok("(a, b)").text == "(1, 1)"


def test_first_committer_wins(beside: Beside) -> None:
    """Where a name was changed by another since this one began, nothing of it is merged, and the names are told."""
    beside.interpreter.ok("n = 0; other = 0")
    first = beside.begin("n += 1\nother = 1\nfresh = 1\nprint('ready')\ninput()", allow_input=True)
    question = beside.message().header
    assert beside.ok("n += 1").header["conflicts"] == []
    beside.interpreter.send(
        {"type": "input", "operation": first, "input_id": question["input_id"], "text": "x"}
    )
    done = beside.finish(first)
    assert done.ok
    assert done.text == "'x'"
    assert done.header["conflicts"] == ["n"]
    assert beside.interpreter.ok("n, other, 'fresh' in globals()").text == "(1, 0, False)"


@pytest.mark.parametrize(
    ("mine", "theirs", "conflicts"),
    [
        ("x = 5", "x = 6", ["x"]),
        ("x = 5", "x = 5", ["x"]),
        ("del x", "x = 5", ["x"]),
        ("x = 5", "del x", ["x"]),
        ("del x", "del x", ["x"]),
        ("new = []", "new = []", ["new"]),
        ("x = 5", "x = 6; x = 1", []),
        ("x", "x = 6", []),
        ("y = x", "x = 6", []),
        ("import json", "import json", []),
        ("from json import dumps", "from json import dumps", []),
        ("for _ in range(3): pass", "for _ in range(4): pass", []),
        ("1", "2", []),
        ("x = 1", "x = 2", []),
    ],
)
def test_what_counts_as_changed_by_another(
    beside: Beside, mine: str, theirs: str, conflicts: list[str]
) -> None:
    """Binding and deleting, also where the objects are equal; not what is bound to what it was before."""
    beside.interpreter.ok("x = 1; y = 2")
    first = beside.begin(f"input()\n{mine}", allow_input=True)
    question = beside.message().header
    beside.ok(theirs)
    beside.interpreter.send(
        {"type": "input", "operation": first, "input_id": question["input_id"], "text": ""}
    )
    done = beside.finish(first)
    assert done.ok, done.error
    assert done.header["conflicts"] == conflicts


def test_a_value_that_went_and_came_back_is_a_conflict_all_the_same(beside: Beside) -> None:
    """1 is one object: another has counted on from it, and a third has set it back."""
    beside.interpreter.ok("x = 1")
    first = beside.begin("input()\nx = 7", allow_input=True)
    question = beside.message().header
    beside.ok("x = 2")
    beside.ok("x = 1")
    beside.interpreter.send(
        {"type": "input", "operation": first, "input_id": question["input_id"], "text": ""}
    )
    assert beside.finish(first).header["conflicts"] == ["x"]


def test_a_freed_object_is_not_mistaken_for_a_new_one(beside: Beside) -> None:
    """What a name held is kept while an operation runs: no other object can come to its address."""
    beside.interpreter.ok("x = [0]")
    first = beside.begin("input()\nx = [1]", allow_input=True)
    question = beside.message().header
    for _ in range(20):
        beside.ok("del x")
        beside.ok("x = [2]")
    beside.interpreter.send(
        {"type": "input", "operation": first, "input_id": question["input_id"], "text": ""}
    )
    assert beside.finish(first).header["conflicts"] == ["x"]


def test_annotations_and_futures_are_merged(beside: Beside) -> None:
    """Of variables with types, and ``from __future__``: they hold in the cells to come; of a failed one they do not."""
    beside.interpreter.ok("x: int = 1")
    assert not beside.run("from __future__ import annotations\ny: str = ''\n1/0").ok
    assert beside.interpreter.ok("sorted(__annotations__)").text == "['x']"
    assert not beside.interpreter.run("def f(a: nothing): pass").ok
    beside.ok("from __future__ import annotations\nz: str = ''")
    assert beside.interpreter.ok("def f(a: nothing): pass\nsorted(__annotations__)").text == "['x', 'z']"


def test_no_thread_is_left_when_the_last_has_ended(beside: Beside) -> None:
    """Snapshots are made of a process with one thread: it has only that one by the time that the end is told."""
    for _ in range(20):
        operations = [beside.begin(f"v{number} = {number}") for number in range(4)]
        for operation in operations:
            assert beside.finish(operation).ok
        assert beside.interpreter.thread_count() == 1
