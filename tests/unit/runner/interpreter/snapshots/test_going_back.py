"""Snapshots in their plainest: what a woken one knows, and who it is."""

from __future__ import annotations

from tests.unit.runner.interpreter.snapshots.harness import Timeline


def test_variables_come_back(timeline: Timeline) -> None:
    """Bound, rebound, mutated and deleted ones, modules and classes."""
    timeline.ok("a = 1; b = [1, 2]; c = {'k': b}; import sys\nclass K: x = 1\nk = K()")
    snapshot = timeline.snapshot()
    timeline.ok("a = 2; b.append(3); del c; K.x = 2; k.y = 1; new = 1; import wave; sys.path.append('x')")
    awake = timeline.rollback(snapshot)
    assert (awake["warnings"], awake["files"], awake["files_truncated"]) == ([], [], False)
    value = "a, b, c, c['k'] is b, K.x, vars(k), 'new' in dir(), 'wave' in sys.modules, 'x' in sys.path"
    assert timeline.ok(value).text == "(1, [1, 2], {'k': [1, 2]}, True, 1, {}, False, False, False)"
