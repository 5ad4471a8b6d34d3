"""What happened to the operations of this sandbox, kept for replay: bounded by operations and by bytes.

Events go first, from the oldest operation's first event on. What an operation came to stays known long after, so that
an id is never run twice and can still be asked about.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from sandbank_runner.supervisor.operations import Operation

JOURNAL_BYTES = 64 * 1024 * 1024
JOURNAL_OPERATIONS = 256

REMEMBERED_OPERATIONS = 4 * 1024
"""How many operations are remembered beyond their events: about a kilobyte each."""

EVENT_OVERHEAD_BYTES = 80
"""What an event costs beside its bytes: without it a flood of empty events would cost much and count nothing."""

_PAGE_BYTES = 1024 * 1024
_LARGEST_PAGE_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class Record:
    """One operation and those of its events that are kept."""

    operation: Operation
    events: list[bytes | None] = field(default_factory=list)
    """The events beyond the first ``_base``; None where one was dropped."""
    first_kept: int = 1
    ended: bool = False
    """Whether the last event is Finished."""
    _base: int = 0
    """How many dropped events were cut from the front of ``events``."""

    @property
    def last_sequence(self) -> int:
        """The sequence of the newest event; 0 before the first."""
        return self._base + len(self.events)

    def drop_first(self) -> int:
        """Drop the oldest event that is kept and return what that frees."""
        at = self.first_kept - 1 - self._base
        event = self.events[at]
        assert event is not None
        self.events[at] = None
        self.first_kept += 1
        # Cut the front off only now and then: once per event it would be quadratic.
        if at >= 1024 and 2 * at > len(self.events):
            del self.events[: at + 1]
            self._base += at + 1
        return len(event) + EVENT_OVERHEAD_BYTES

    def drop_all(self) -> int:
        """Drop every event and return what that frees."""
        freed = sum(len(event) + EVENT_OVERHEAD_BYTES for event in self.events if event is not None)
        self._base, self.events = self.last_sequence, []
        self.first_kept = self._base + 1
        return freed

    def after(self, sequence: int, max_bytes: int) -> tuple[int, list[bytes]]:
        """Return (sequence of the first, events) beyond ``sequence``, at least one where one is kept."""
        first = max(sequence + 1, self.first_kept)
        events: list[bytes] = []
        size = 0
        for event in self.events[first - 1 - self._base :]:
            assert event is not None
            size += len(event)
            if events and size > max_bytes:
                break
            events.append(event)
        return first, events


@dataclass(frozen=True, slots=True)
class Page:
    """Events of one operation; ``finished`` when the last of them is Finished."""

    first_sequence: int
    events: list[bytes]
    finished: bool
    first_kept_sequence: int


class Journal:
    """The records, oldest first: those with events, bounded tightly, and those that only remember, bounded widely."""

    def __init__(self, max_bytes: int = JOURNAL_BYTES, max_operations: int = JOURNAL_OPERATIONS) -> None:
        self.max_bytes = max_bytes
        self.max_operations = max_operations
        self.kept_bytes = 0
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._emptied: OrderedDict[str, Record] = OrderedDict()

    def __contains__(self, operation_id: str) -> bool:
        return operation_id in self._records or operation_id in self._emptied

    @property
    def records(self) -> list[Record]:
        """Those operations whose events are kept, as far as they are, oldest first."""
        return list(self._records.values())

    def find(self, operation_id: str) -> Record | None:
        """Return what is known of an operation."""
        return self._records.get(operation_id) or self._emptied.get(operation_id)

    def open(self, operation: Operation) -> Record:
        """Begin the record of a new operation."""
        assert operation.operation_id not in self
        record = self._records[operation.operation_id] = Record(operation)
        self._trim(record)
        return record

    def append(self, record: Record, event: bytes, *, finished: bool = False) -> None:
        """Add the next event of an operation, dropping older ones where there are too many."""
        assert not record.ended, f"event after Finished: {record.operation.history}"
        record.events.append(event)
        record.ended = finished
        self.kept_bytes += len(event) + EVENT_OVERHEAD_BYTES
        if self.kept_bytes > self.max_bytes:
            self._evict(record)
        if finished:
            self._trim(record)

    def page(self, operation_id: str, after_sequence: int, max_bytes: int) -> Page | None:
        """Return events beyond ``after_sequence``; None for an operation that is not known.

        Where they are gone, the page's ``first_kept_sequence`` is beyond ``after_sequence + 1``.
        """
        record = self.find(operation_id)
        if record is None:
            return None
        first, events = record.after(after_sequence, min(max_bytes or _PAGE_BYTES, _LARGEST_PAGE_BYTES))
        at_end = first + len(events) > record.last_sequence
        return Page(first, events, record.ended and at_end and bool(events), record.first_kept)

    def lose(self, state: int, *, asked_for: bool = False) -> list[str]:
        """The session went back to ``state``: mark the operations whose effects that has not; return their ids."""
        return [
            record.operation.operation_id
            for records in (self._emptied, self._records)
            for record in records.values()
            if record.operation.effect > state and record.operation.lose(asked_for=asked_for)
        ]

    def _trim(self, newest: Record) -> None:
        """Drop the oldest operations over the limit, but those that queue or run, and the newest."""
        while len(self._records) > self.max_operations:
            oldest = next(
                (each for each in self._records.values() if each.ended and each is not newest), None
            )
            if oldest is None:
                return
            self._empty(oldest)

    def _evict(self, newest: Record) -> None:
        """Drop the oldest events; the newest stays, whatever its size."""
        for record in self.records:
            while self.kept_bytes > self.max_bytes and record.first_kept <= record.last_sequence:
                if record is newest and record.first_kept == record.last_sequence:
                    return
                self.kept_bytes -= record.drop_first()
            if record.ended and record.first_kept > record.last_sequence:
                self._empty(record)
            if self.kept_bytes <= self.max_bytes:
                return

    def _empty(self, record: Record) -> None:
        """Keep of an operation only what it came to."""
        self.kept_bytes -= record.drop_all()
        operation_id = record.operation.operation_id
        del self._records[operation_id]
        self._emptied[operation_id] = record
        if len(self._emptied) > REMEMBERED_OPERATIONS:
            self._emptied.popitem(last=False)
