"""What the events of one sandbox do to it. Which of them each state allows is in ``TABLE``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbank_server.pool import actions as do
from sandbank_server.pool import events as ev
from sandbank_server.pool.book import Book, Due
from sandbank_server.pool.state import Hold, InvalidTransition, SandboxRecord, SandboxState

Handler = Callable[[Book, SandboxRecord, Any], None]


def apply(book: Book, event: ev.SandboxEvent) -> None:
    """Let a sandbox's event happen. Raises :class:`InvalidTransition` before anything has changed."""
    record = book.ledger.get(event.sandbox_id)
    if record is None:
        record = SandboxRecord(event.sandbox_id, book.template, book.now)
    handler = TABLE[type(event)].get(record.state)
    if handler is None:
        raise InvalidTransition(record, repr(event))
    handler(book, record, event)


def _late(book: Book, record: SandboxRecord, event: ev.SandboxEvent) -> None:
    """Do nothing but remember: the event crossed with a decision that made it meaningless."""
    record.note(book.now, f"late {type(event).__name__}")


# Beginnings ------------------------------------------------------------------------------------------


def _found(book: Book, record: SandboxRecord, event: ev.Found) -> None:
    record.template = event.template
    record.image = event.image
    record.session_id = event.session_id
    record.lease_id = event.lease_id
    record.created_at = book.now - event.age
    record.adopted = True
    book.ledger.add(record, SandboxState.STARTING, book.now, "found at boot")
    book.ceiling = max(book.ceiling, book.ledger.total)
    patience = book.settings.greet_deadline if record.session_id else book.settings.start_deadline
    book.agenda.set((Due.START, record.sandbox_id), book.now + patience)
    book.emit(do.Greet(record.sandbox_id, record.session_id))


def _stray(book: Book, record: SandboxRecord, event: ev.StrayFound) -> None:
    record.template = event.template
    _remove_stray(book, record, event.reason)


def _came_too_late(book: Book, record: SandboxRecord, _event: ev.StartSucceeded) -> None:
    """Destroy it: it was given up and its destruction reported, and yet it started (a runtime that lies)."""
    _remove_stray(book, record, "started after it had been destroyed")


def _remove_stray(book: Book, record: SandboxRecord, reason: str) -> None:
    book.ledger.add(record, SandboxState.RETIRING, book.now, reason)
    book.ceiling = max(book.ceiling, book.ledger.total)
    book.retirements.add(record)
    book.notice(record, f"stray: {reason}", do.Level.WARNING)


# Starting --------------------------------------------------------------------------------------------


def _launched(_book: Book, record: SandboxRecord, _event: ev.Launched) -> None:
    record.launched = True


def _started(book: Book, record: SandboxRecord, _event: ev.StartSucceeded) -> None:
    if record.adopted:
        _greeted(book, record)
        return
    seconds = book.now - record.created_at
    book.started_count += 1
    book.start_times.append(seconds)
    book.health.start_succeeded(book.now, record.created_at)
    book.emit(do.CountStart(seconds))
    book.make_ready(record, f"ready after {seconds:.3f} s")


def _greeted(book: Book, record: SandboxRecord) -> None:
    """Take in a runner found at boot that answers as it should."""
    book.agenda.cancel((Due.START, record.sandbox_id))
    if record.session_id:
        book.move(record, SandboxState.ASSIGNED, "adopted")
        record.hold = Hold.CONFIRMED
        record.ready_at = book.now
        book.emit(do.ReportAdopted(record.sandbox_id, record.session_id, record.lease_id))
        book.notice(record, "adopted with its session")
    elif book.health.image:
        settle_image(book, record)
    else:
        record.awaiting_image = True


def settle_image(book: Book, record: SandboxRecord) -> None:
    """Keep a runner found at boot if it is made from today's image."""
    if record.image == book.health.image:
        book.make_ready(record, "adopted")
    else:
        book.retire(record, "made from another image")


def _start_failed(book: Book, record: SandboxRecord, event: ev.StartFailed) -> None:
    fail_start(book, record, event.reason)


def fail_start(book: Book, record: SandboxRecord, reason: str, exit_of: ev.Lost | None = None) -> None:
    """Give a start up; a session that claimed the sandbox has lost it."""
    if record.session_id:
        _report_loss(book, record, reason, exit_of)
    if not record.adopted:
        book.failed_count += 1
        book.health.start_failed(book.now, record.created_at, reason)
        book.emit(do.CountFailure())
    book.retire(record, reason, do.Level.WARNING)


def _lost_starting(book: Book, record: SandboxRecord, event: ev.Lost) -> None:
    fail_start(book, record, event.reason, event)


# In use ----------------------------------------------------------------------------------------------


def _lost(book: Book, record: SandboxRecord, event: ev.Lost) -> None:
    """Replace a sandbox that died.

    Dying young counts as a failed start, unless it was confirmed: then user code ran in it, whose crashes say
    nothing about the template, and must not let one tenant make the pool DEGRADED for all.
    """
    state = SandboxState.READY if record.hold is Hold.NONE else SandboxState.ASSIGNED
    book.emit(do.CountLoss(state, event.reason))
    if record.hold is Hold.CONFIRMED:
        _report_loss(book, record, event.reason, event)
    elif (
        not record.adopted
        and record.ready_at is not None
        and book.now < record.ready_at + book.settings.stable_after
    ):
        book.health.start_failed(book.now, record.created_at, event.reason)
    book.retire(record, event.reason, do.Level.WARNING)


def _report_loss(book: Book, record: SandboxRecord, reason: str, event: ev.Lost | None) -> None:
    exit_code = event.exit_code if event else None
    oom_killed = event.oom_killed if event else False
    book.emit(do.ReportLoss(record.sandbox_id, record.session_id, reason, exit_code, oom_killed))


def _taken(book: Book, record: SandboxRecord, event: ev.OfferTaken) -> None:
    if record.hold is not Hold.OFFERED or record.lease_id != event.lease_id:
        raise InvalidTransition(record, repr(event))
    del book.offers[event.lease_id]
    record.hold = Hold.LEASED
    record.note(book.now, "leased")
    book.agenda.set((Due.LEASE, record.sandbox_id), book.now + book.settings.lease_deadline)


def _confirmed(book: Book, record: SandboxRecord, event: ev.Confirmed) -> None:
    if record.hold is not Hold.LEASED or record.lease_id != event.lease_id:
        raise InvalidTransition(record, repr(event))
    record.hold = Hold.CONFIRMED
    record.note(book.now, "confirmed")
    book.agenda.cancel((Due.LEASE, record.sandbox_id))


def _released(book: Book, record: SandboxRecord, event: ev.Released) -> None:
    if record.lease_id != event.lease_id:
        _late(book, record, event)
    elif record.hold is Hold.OFFERED:
        raise InvalidTransition(record, repr(event))
    elif event.used or record.hold is Hold.CONFIRMED:
        book.retire(record, event.reason)
    else:
        book.make_ready(record, f"given back unused: {event.reason}")


def _retire(book: Book, record: SandboxRecord, event: ev.RetireRequested) -> None:
    book.retire(record, event.reason)


# Endings ---------------------------------------------------------------------------------------------


def _destroyed(book: Book, record: SandboxRecord, _event: ev.Destroyed) -> None:
    book.retirements.done(record)
    book.agenda.cancel((Due.DESTROY, record.sandbox_id))
    book.move(record, SandboxState.GONE, record.reason)
    book.notice(record, "gone")


def _destroy_failed(book: Book, record: SandboxRecord, event: ev.DestroyFailed) -> None:
    fail_destroy(book, record, event.reason)


def fail_destroy(book: Book, record: SandboxRecord, reason: str) -> None:
    """Try again later; a try that had been given up already changes nothing."""
    retry_at = book.retirements.failed(record, book.now)
    if retry_at is not None:
        book.agenda.set((Due.DESTROY, record.sandbox_id), retry_at)
        record.note(book.now, "destroy failed", reason)
        book.notice(record, f"not destroyed yet: {reason}", do.Level.WARNING)


_S, _R, _A, _X = SandboxState.STARTING, SandboxState.READY, SandboxState.ASSIGNED, SandboxState.RETIRING

TABLE: Mapping[type[ev.SandboxEvent], Mapping[SandboxState | None, Handler]] = {
    ev.Found: {None: _found},
    ev.StrayFound: {None: _stray, _S: _late, _R: _late, _A: _late, _X: _late},
    ev.Launched: {None: _late, _S: _launched, _X: _late},
    ev.StartSucceeded: {None: _came_too_late, _S: _started, _X: _late},
    ev.StartFailed: {None: _late, _S: _start_failed, _X: _late},
    ev.Lost: {None: _late, _S: _lost_starting, _R: _lost, _A: _lost, _X: _late},
    ev.OfferTaken: {_A: _taken},
    ev.Confirmed: {_A: _confirmed},
    ev.Released: {None: _late, _R: _late, _A: _released, _X: _late},
    ev.RetireRequested: {None: _late, _S: _retire, _R: _retire, _A: _retire, _X: _late},
    ev.Destroyed: {None: _late, _X: _destroyed},
    ev.DestroyFailed: {None: _late, _X: _destroy_failed},
}
"""Event by event, what it does in which state. A pair that is not here cannot happen, and raises."""
