"""What an operation did to variables, told through the whole path, on each runtime."""

from __future__ import annotations

from sandbank import Client, Session
from sandbank.v1.variable_pb2 import VariableChange

ADDED, MODIFIED, REMOVED = (
    VariableChange.KIND_ADDED,
    VariableChange.KIND_MODIFIED,
    VariableChange.KIND_REMOVED,
)


def told(session: Session, code: str, **options: object) -> dict[str, int]:
    """Return what became of each name."""
    changes = session.run(code, **options).changes  # type: ignore[arg-type]
    return {change.name: change.kind for change in changes}


def test_changes_are_told_unless_they_are_not_wanted(session: Session) -> None:
    """By default; and what is not told of one operation is not blamed on the next."""
    assert told(session, "x = [1]; y = x; gone = 1") == {"x": ADDED, "y": ADDED, "gone": ADDED}
    assert told(session, "y.append(2); del gone") == {"x": MODIFIED, "y": MODIFIED, "gone": REMOVED}
    assert told(session, "len(x)") == {}
    assert told(session, "x.append(3)", report_changes=False) == {}
    assert told(session, "z = 1", report_changes=True) == {"z": ADDED}


def test_changes_are_told_with_snapshots_disabled(client: Client) -> None:
    """They cost more then, and are no less exact."""
    with client.session(template="slim", snapshots=False) as session:
        assert told(session, "x = bytearray(1_000_000)") == {"x": ADDED}
        for _ in range(6):
            assert told(session, "pass") == {}
        assert told(session, "x[500_000] = 1") == {"x": MODIFIED}


def test_the_kernel_tells_what_was_left_alone(session: Session) -> None:
    """Inside the walls too: of memory that is shared with a snapshot, what was written to is known."""
    session.run("x = bytearray(b'x' * 1_000_000)")
    code = """
def look():
    import ctypes
    from sandbank_runner.interpreter.changes import pages
    x[600_000] = 1
    view = (ctypes.c_char * len(x)).from_buffer(x)
    found = pages.Pages(usable=True)
    try:
        parts = found.doubtful(ctypes.addressof(view) + 100_000, 800_000)
        return [found.are_believed, [list(part) for part in parts]]
    finally:
        found.close()
look()
"""
    believed, doubtful = session.run(code, tx_policy="commit_on_success").value
    assert believed
    assert len(doubtful) == 1
    begin, end = doubtful[0]
    assert begin <= 500_000 < end
    assert end - begin <= 65_536
