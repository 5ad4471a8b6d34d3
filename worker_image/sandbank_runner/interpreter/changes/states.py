"""What is remembered of a variable."""

from __future__ import annotations

from array import array
from typing import Any, Final

from sandbank_runner.interpreter.changes import atoms
from sandbank_runner.interpreter.changes.walk import CannotCompare, Surroundings, Walk
from sandbank_runner.interpreter.reading.kinds import identity, type_name
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_NOTHING: Final = array("q")


class State:
    """The state of one variable at one moment: an atom itself, of anything else a digest."""

    __slots__ = ("atom", "digest", "lost", "mutable", "type_name", "unsure")

    def __init__(self) -> None:
        self.atom: Any = None
        self.digest: bytes | None = None
        """None where ``atom`` says it, or where nobody knows."""
        self.mutable: array[int] = _NOTHING
        """Identities of the mutable objects in the order of the walk."""
        self.unsure = ""
        """Why an equal digest does not mean that nothing changed."""
        self.lost = ""
        """What a checkpoint cannot save."""
        self.type_name = ""
        """Empty for an atom, which is there to be asked."""

    @property
    def type(self) -> str:
        """The qualified name of the type."""
        return self.type_name or type_name(self.atom)


def state_of_atom(value: Any, key: int) -> State:
    """Return the state of an atom, of the type whose identity is ``key``."""
    state = State()
    if atoms.is_short(value, key):
        state.atom = value
        return state
    state.type_name = type_name(value)
    try:
        state.digest = atoms.digest_of_long(value)
    except Exception as error:
        state.unsure = _failed(error)
    return state


def state_unseen(value: Any, before: State) -> State:
    """Return the state of what was too dear to compare ``before``, and is not looked at now."""
    state = State()
    state.type_name = type_name(value)
    state.unsure = before.unsure
    state.lost = before.lost
    return state


def _failed(error: Exception) -> str:
    """Say why something cannot be looked at: a user's audit hook, memory, another thread that changes it meanwhile."""
    return f"looking at it failed: {type(error).__name__}"


def state_of(value: Any, around: Surroundings, deadline: float) -> State:
    """Return the state of anything. Does not raise: where it cannot be told, the state is unsure."""
    key = identity(type(value))
    if key in atoms.KINDS:
        return state_of_atom(value, key)
    state = State()
    state.type_name = type_name(value)
    walk = Walk(around, deadline)
    try:
        state.digest = walk.digest_of(value)
        state.unsure = walk.unsure
    except CannotCompare as problem:
        state.unsure = str(problem)
    except Exception as error:
        state.unsure = _failed(error)
    state.mutable = walk.mutable
    state.lost = walk.lost
    return state


def equal(before: State, after: State) -> bool:
    """Tell whether two states are of the same value. Who shares its parts is for :mod:`sharing` to say."""
    if before.digest is None and after.digest is None and not (before.type_name or after.type_name):
        return atoms.same(before.atom, after.atom)
    return before.digest is not None and before.digest == after.digest and before.type == after.type


def indistinguishable(before: State, after: State) -> bool:
    """Tell whether two states are of the same value, of the same objects."""
    return (
        not before.unsure
        and not after.unsure
        and before.mutable == after.mutable
        and before.lost == after.lost
        and equal(before, after)
    )
