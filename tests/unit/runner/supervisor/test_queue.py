"""The queue of operations."""

from __future__ import annotations

from sandbank_runner.supervisor.operations import Operation
from sandbank_runner.supervisor.queue import OperationQueue


def operation(name: str) -> Operation:
    """Return a pending one."""
    return Operation(name, b"", timeout=1.0, max_output_bytes=1, create_time=1)


def test_it_is_first_in_first_out_and_bounded():
    """Full means refused, and a place that is left is free again."""
    queue = OperationQueue(2)
    assert queue.push(operation("a"))
    assert queue.push(operation("b"))
    assert not queue.push(operation("c"))
    first = queue.pop()
    assert first is not None
    assert first.operation_id == "a"
    assert queue.push(operation("d"))
    assert [each.operation_id for each in queue.clear()] == ["b", "d"]
    assert queue.pop() is None


def test_one_can_leave_out_of_turn():
    """By its id; one that is not there is nobody."""
    queue = OperationQueue(3)
    for name in "abc":
        queue.push(operation(name))
    left = queue.withdraw("b")
    assert left is not None
    assert left.operation_id == "b"
    assert queue.withdraw("b") is None
    assert len(queue) == 2
