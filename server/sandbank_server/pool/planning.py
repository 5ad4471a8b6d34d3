"""What there should be, compared with what there is: after every event, so that nothing is ever forgotten."""

from __future__ import annotations

from collections.abc import Callable

from sandbank_server.errors import DomainError, DrainingError, PoolDegradedError
from sandbank_server.pool import actions as do
from sandbank_server.pool.book import Book, Due
from sandbank_server.pool.state import Hold, SandboxRecord, SandboxState

DRAINING_RETRY_SECONDS = 5.0
"""When a client may try again: another server, or this one restarted, should be there by then."""


def plan(book: Book, new_id: Callable[[], str]) -> list[float]:
    """Decide what is to be done now; return when to look again even if nothing happens."""
    if book.draining:
        _end_ready(book)
    _offer(book)
    _refuse_waiters(book)
    wakes = _shed(book)
    wakes += _start(book, new_id)
    wakes += book.health.wakes(book.now)
    _destroy(book)
    book.settle_ceiling()
    return wakes


def refusal(book: Book) -> DomainError | None:
    """Return why nobody can be given a sandbox now or soon, if that is so."""
    metadata = {"template": book.template}
    if book.draining:
        return DrainingError(
            "the server is shutting down", metadata=metadata, retry_delay=DRAINING_RETRY_SECONDS
        )
    if book.health.problem:
        return PoolDegradedError(
            f"sandboxes of template {book.template!r} cannot be started: {book.health.problem}",
            metadata=metadata,
            retry_delay=max(book.health.retry_at - book.now, 1.0),
        )
    return None


def _offer(book: Book) -> None:
    """Hand out what is READY, longest ready first, to whom waits longest."""
    while len(book.waiters) and book.count(SandboxState.READY):
        waiter = book.waiters.first()
        record = next(iter(book.ledger.having(SandboxState.READY)))
        book.move(record, SandboxState.ASSIGNED)
        record.session_id = waiter.session_id
        record.lease_id = waiter.lease_id
        record.hold = Hold.OFFERED
        book.offers[waiter.lease_id] = (waiter, record)
        book.agenda.cancel((Due.WAITER, waiter.lease_id))
        book.pause.acquired(book.now)
        book.emit(do.Offer(waiter.lease_id, record.sandbox_id))
        book.notice(record, "assigned", do.Level.DEBUG)


def _refuse_waiters(book: Book) -> None:
    """Fail fast: who waits for what will not come soon is told why."""
    while (
        len(book.waiters) and (error := refusal(book)) is not None
    ):  # each gets an error of its own to raise
        waiter = book.waiters.first()
        book.agenda.cancel((Due.WAITER, waiter.lease_id))
        book.emit(do.Refuse(waiter.lease_id, error))


def _end_ready(book: Book) -> None:
    if book.draining and book.draining.end_ready:
        for record in list(book.ledger.having(SandboxState.READY)):
            book.retire(record, "draining")


def _shed(book: Book) -> list[float]:
    """Retire what is too much: over ``max_total`` at once, over ``min_ready`` after a while."""
    living = book.ledger.total - book.count(SandboxState.RETIRING)
    over = living - book.sizes.max_total
    if over > 0:
        shed(book, over, "over max_total")
    if book.draining:
        return []
    due_at = book.surplus.due_at(min(book.coming - book.wanted, book.count(SandboxState.READY)), book.now)
    if due_at is None or due_at > book.now:
        return [] if due_at is None else [due_at]
    shed(book, book.coming - book.wanted, "more than min_ready")
    book.surplus.due_at(0, book.now)
    return []


def shed(book: Book, count: int, reason: str) -> None:
    """Retire up to ``count`` that nobody has or claims, what is furthest from READY first."""
    free = [record for record in book.ledger.having(SandboxState.STARTING) if not record.session_id]
    ready = list(book.ledger.having(SandboxState.READY))
    newest_first: list[SandboxRecord] = [*reversed(free), *reversed(ready)]
    for record in newest_first[: max(count, 0)]:
        book.retire(record, reason)


def _start(book: Book, new_id: Callable[[], str]) -> list[float]:
    """Start what is missing, as far as sizes, budget and image allow; resolve the image when it is needed."""
    missing = book.wanted - book.coming
    room = book.sizes.max_total - book.ledger.total
    living = book.count(SandboxState.READY) + book.count(SandboxState.ASSIGNED)
    if living and (missing <= 0 or room <= 0):
        book.health.budget.spared(book.now)
    if book.wanted and book.health.may_resolve(book.now):
        book.health.resolving = True
        book.emit(do.ResolveImage())
    if not book.wanted and not book.health.image and not book.health.resolving:
        _drop_unwanted(book)
    if missing <= 0:
        return []
    if book.count(SandboxState.READY) and not len(book.waiters) and book.now < book.pause.until:
        return [book.pause.until]
    for _ in range(min(missing, book.start_room, room)):
        record = SandboxRecord(new_id(), book.template, book.now, image=book.health.image)
        book.ledger.add(record, SandboxState.STARTING, book.now)
        book.agenda.set((Due.START, record.sandbox_id), book.now + book.settings.start_deadline)
        book.emit(do.Launch(record.sandbox_id, record.image))
        book.notice(record, "starting", do.Level.DEBUG)
    return []


def _drop_unwanted(book: Book) -> None:
    """Retire runners found at boot whose image nobody will ask about, because nobody wants a sandbox."""
    for record in list(book.ledger.having(SandboxState.STARTING)):
        if record.awaiting_image:
            book.retire(record, "not needed")


def _destroy(book: Book) -> None:
    for record, deadline in book.retirements.begin(book.now):
        book.agenda.set((Due.DESTROY, record.sandbox_id), deadline)
        book.emit(do.Destroy(record.sandbox_id, record.destroy_attempts))
