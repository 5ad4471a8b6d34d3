"""The states of a session and how it may go from one to another."""

from __future__ import annotations

from typing import Final

from sandbank.v1 import session_pb2

_S = session_pb2.Session

TRANSITIONS: Final[dict[int, frozenset[int]]] = {
    # Executing or ready.
    _S.STATE_ACTIVE: frozenset({_S.STATE_IDLE, _S.STATE_CRASHED, _S.STATE_HIBERNATED, _S.STATE_TERMINATED}),
    # No operation for a minute; any use makes it active again.
    _S.STATE_IDLE: frozenset({_S.STATE_ACTIVE, _S.STATE_CRASHED, _S.STATE_HIBERNATED, _S.STATE_TERMINATED}),
    # Its sandbox died; a reset gives it another one.
    _S.STATE_CRASHED: frozenset({_S.STATE_ACTIVE, _S.STATE_TERMINATED}),
    # It gave its sandbox up; any use gives it another one.
    _S.STATE_HIBERNATED: frozenset({_S.STATE_ACTIVE, _S.STATE_TERMINATED}),
    # Ended; readable for a day.
    _S.STATE_TERMINATED: frozenset(),
}


class InvalidSessionTransition(AssertionError):
    """A transition that the table does not have: a fault of ours."""


def check_transition(before: int, after: int) -> None:
    """Raise :class:`InvalidSessionTransition` unless a session may go from ``before`` to ``after``."""
    if before != after and after not in TRANSITIONS[before]:
        names = _S.State.Name
        raise InvalidSessionTransition(f"{names(before)} to {names(after)}")
