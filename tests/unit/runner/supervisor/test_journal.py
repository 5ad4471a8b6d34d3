"""The journal: bounded, and honest about what it has dropped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from sandbank_runner.supervisor.journal import EVENT_OVERHEAD_BYTES, Journal, Record
from sandbank_runner.supervisor.operations import End, Operation, Outcome


def operation(name: str, effect: int = 1) -> Operation:
    """Return one that runs."""
    one = Operation(name, b"", timeout=1.0, max_output_bytes=1, create_time=1)
    one.start(1, effect - 1, effect, 1)
    return one


def filled(journal: Journal, name: str, *sizes: int, ended: bool = True) -> Record:
    """Journal an operation with events of these sizes."""
    record = journal.open(operation(name))
    for number, size in enumerate(sizes, 1):
        journal.append(record, bytes([number % 256]) * size, finished=ended and number == len(sizes))
    if ended:
        record.operation.end(End.RETURNED, 2)
    return record


def test_pages_give_every_event_once():
    """At least one event a page, in order, the last page marked."""
    journal = Journal()
    filled(journal, "a", 10, 10, 10, 100, 10)
    after, sizes, finished = 0, [], False
    while not finished:
        page = journal.page("a", after, 25)
        assert page is not None
        assert page.first_sequence == after + 1
        sizes.append([len(event) for event in page.events])
        after += len(page.events)
        finished = page.finished
    assert sizes == [[10, 10], [10], [100], [10]]


def test_beyond_the_end_there_is_an_empty_page():
    """Not marked as finished: the mark belongs to the event."""
    journal = Journal()
    filled(journal, "a", 1)
    page = journal.page("a", 1, 0)
    assert page is not None
    assert (page.events, page.finished, page.first_kept_sequence) == ([], False, 1)
    assert journal.page("b", 0, 0) is None


def test_the_oldest_events_go_first():
    """Event by event, oldest operation first."""
    journal = Journal(max_bytes=4 * (100 + EVENT_OVERHEAD_BYTES))
    a = filled(journal, "a", 100, 100)
    filled(journal, "b", 100, 100)
    c = filled(journal, "c", 100, ended=False)
    assert (a.first_kept, a.last_sequence) == (2, 2)
    journal.append(c, b"x" * 100)
    assert (a.first_kept, a.last_sequence) == (3, 2)
    assert [record.operation.operation_id for record in journal.records] == ["b", "c"]
    page = journal.page("a", 0, 0)
    assert page is not None
    assert (page.events, page.first_kept_sequence) == ([], 3)


def test_the_newest_event_stays_whatever_its_size():
    """An operation always ends with a Finished that can be had."""
    journal = Journal(max_bytes=100)
    record = filled(journal, "a", 10, 10, 100_000)
    assert (record.first_kept, record.last_sequence, len(journal.records)) == (3, 3, 1)


def test_operations_that_have_not_ended_keep_their_place():
    """However many there are: their end is still to be written."""
    journal = Journal(max_operations=2)
    waiting = [journal.open(operation(str(number))) for number in range(4)]
    assert len(journal.records) == 4
    journal.append(waiting[2], b"", finished=True)
    journal.open(operation("5"))
    assert [record.operation.operation_id for record in journal.records] == ["0", "1", "3", "5"]
    assert "2" in journal


def test_what_the_session_went_behind_is_marked():
    """Later effects than the state it is in, also where their events are gone; and the ids are told, oldest first."""
    journal = Journal(max_operations=1)
    for name, effect in (("a", 1), ("b", 2), ("c", 3)):
        record = journal.open(operation(name, effect))
        journal.append(record, b"", finished=True)
        record.operation.end(End.RETURNED, 2)
    assert journal.lose(1) == ["b", "c"]
    outcomes = [record.operation.outcome for name in "abc" if (record := journal.find(name))]
    assert outcomes == [Outcome.COMMITTED, Outcome.LOST, Outcome.LOST]
    assert journal.lose(0, asked_for=True) == ["a"]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 400), st.booleans()), max_size=200),
    st.integers(1, 2000),
    st.integers(1, 4),
)
def test_its_bounds_hold_and_no_event_is_invented(
    steps: list[tuple[int, int, bool]], max_bytes: int, max_operations: int
):
    """Against a model: what is kept is the tail of what was written; bytes are counted right."""
    journal = Journal(max_bytes, max_operations)
    written: dict[str, list[bytes]] = {}
    for name, size, finish in ((str(number), size, finish) for number, size, finish in steps):
        record = journal.find(name)
        if record is None:
            record = journal.open(operation(name))
            written[name] = []
        if record.ended:
            continue
        event = bytes([len(written[name]) % 256]) * size
        journal.append(record, event, finished=finish)
        written[name].append(event)
        kept = 0
        for each, all_events in written.items():
            known = journal.find(each)
            assert known is not None
            first, events = known.after(0, 10**9)
            assert first == known.first_kept
            assert events == all_events[known.first_kept - 1 :]
            assert known.last_sequence == len(all_events)
            kept += sum(len(event) + EVENT_OVERHEAD_BYTES for event in events)
        assert kept == journal.kept_bytes
        assert kept <= max_bytes or record.first_kept == record.last_sequence
        unfinished = sum(not each.ended for each in journal.records)
        assert len(journal.records) <= max(max_operations, unfinished + 1)


def test_a_long_operation_costs_no_more_than_what_is_kept():
    """The list of dropped events is cut as it grows."""
    journal = Journal(max_bytes=100 * (10 + EVENT_OVERHEAD_BYTES))
    record = filled(journal, "a", *[10] * 20_000, ended=False)
    assert record.last_sequence == 20_000
    assert record.first_kept == 19_901
    assert len(record.events) < 3000
