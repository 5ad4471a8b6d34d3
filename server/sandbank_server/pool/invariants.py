"""What must hold between any two events; checked at the end of every test that has a pool."""

from __future__ import annotations

from sandbank_server.pool.book import Book, Due
from sandbank_server.pool.planning import refusal
from sandbank_server.pool.state import Hold, SandboxRecord, SandboxState


def check_book(book: Book) -> None:
    """Raise AssertionError, saying what is wrong, if the pool's knowledge contradicts itself."""
    for record in book.ledger:
        _check_record(book, record)
    _check_bounds(book)
    _check_hands(book)
    _check_nothing_forgotten(book)


def _check_record(book: Book, record: SandboxRecord) -> None:
    story = record.story()
    state = record.state
    assert state is not None, story
    assert state is not SandboxState.GONE, story
    assert record in book.ledger.having(state), f"in no list of its state: {story}"
    assert (record.hold is not Hold.NONE) or state is not SandboxState.ASSIGNED, story
    if state is SandboxState.READY:
        assert (record.hold, record.session_id, record.lease_id) == (Hold.NONE, "", 0), story
        assert record.ready_at is not None, story
    if state is SandboxState.ASSIGNED:
        assert record.session_id, story
        assert record.lease_id, story
    if state is SandboxState.STARTING and not record.awaiting_image:
        assert (Due.START, record.sandbox_id) in book.agenda, f"no start deadline: {story}"
    if record.hold is Hold.LEASED and state is SandboxState.ASSIGNED:
        assert (Due.LEASE, record.sandbox_id) in book.agenda, f"no lease deadline: {story}"
    assert not record.destroying or state is SandboxState.RETIRING, story


def _check_bounds(book: Book) -> None:
    counts = [book.count(state) for state in SandboxState]
    assert sum(counts) == book.ledger.total
    assert book.ledger.total <= book.ceiling, f"{book.ledger.total} sandboxes, at most {book.ceiling}"
    assert book.launching <= book.sizes.max_starting
    assert book.booting <= 2 * book.sizes.max_starting
    assert book.retirements.under_way <= book.settings.max_destroying
    destroying = sum(1 for record in book.ledger.having(SandboxState.RETIRING) if record.destroying)
    assert destroying == book.retirements.under_way


def _check_hands(book: Book) -> None:
    """No sandbox in two hands, no hand without its sandbox."""
    assigned = list(book.ledger.having(SandboxState.ASSIGNED))
    leases = [record.lease_id for record in assigned]
    assert len(leases) == len(set(leases)), "one lease, two sandboxes"
    offered = {record.lease_id: record for record in assigned if record.hold is Hold.OFFERED}
    assert offered == {lease_id: record for lease_id, (_, record) in book.offers.items()}
    order = [waiter.lease_id for waiter in book.waiters]
    assert order == sorted(order), "not first come, first served"
    assert not set(order) & set(leases), "waits and has one"


def _check_nothing_forgotten(book: Book) -> None:
    """Whatever could be done now is being done: no wake-up was lost."""
    if len(book.waiters):
        assert not book.count(SandboxState.READY), "somebody waits beside a READY sandbox"
        assert refusal(book) is None, "somebody waits for what cannot come"
        for waiter in book.waiters:
            assert (Due.WAITER, waiter.lease_id) in book.agenda, "somebody waits without an end"
    if book.draining:
        assert book.booting == 0
    for record in book.ledger.having(SandboxState.RETIRING):
        in_line = record.destroying or book.retirements.is_queued(record)
        retried = (Due.DESTROY, record.sandbox_id) in book.agenda
        assert in_line or retried, f"never destroyed: {record.story()}"
    if book.retirements.queued:
        assert book.retirements.under_way == book.settings.max_destroying, "destroying could go on"
    room = book.sizes.max_total - book.ledger.total
    startable = min(book.wanted - book.coming, book.start_room, room)
    paused = book.count(SandboxState.READY) and not len(book.waiters) and book.now < book.pause.until
    assert startable <= 0 or paused, f"{startable} could be started and are not"
