"""Random programs on a session's state, and a model of them that goes back by deep copies.

A program is a list of steps: operations under a policy, made of small statements and an ending, and begin and end of
transactions. A statement knows its source and what it does to the :class:`State`; that is the oracle: before whatever
may be rolled back it is copied deeply. Both sides tell their state in the same canonical form, in which sharing shows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis import strategies as st
from sandbank.v1 import execution_pb2, transaction_pb2

Operation = execution_pb2.Operation
NAMES: Final = ("a", "b", "c", "d")

SETUP: Final = """
import os, signal
class Obj:
    total = [0]
def counter():
    n = 0
    def count():
        nonlocal n
        n += 1
    return count
def canonical():
    seen = {}
    def form(value):
        if value is None or type(value) in (int, str):
            return value
        known = id(value) in seen
        number = seen.setdefault(id(value), len(seen))
        if known:
            return ['again', number]
        if type(value) is list:
            return ['list', [form(each) for each in value]]
        if type(value) is dict:
            return ['dict', [[key, form(each)] for key, each in value.items()]]
        if type(value) is Obj:
            return ['object', [[key, form(each)] for key, each in value.__dict__.items()]]
        if type(value) is bytearray:
            return ['buffer', list(value)]
        if type(value) is memoryview:
            return ['view', form(value.obj)]
        return ['counter', value.__closure__[0].cell_contents]
    names = [[name, form(globals()[name])] for name in 'abcd' if name in globals()]
    return repr([names, form(Obj.total)])
"""
"""What the session needs; `canonical` is the twin of :meth:`State.canonical`."""


class Raised(Exception):
    """The statement raises in the session too."""


class Obj:
    """An instance of the session's class."""


@dataclass(eq=False)
class Counter:
    """A closure that counts its calls."""

    n: int = 0


@dataclass(eq=False)
class View:
    """A view of a buffer."""

    buffer: bytearray


@dataclass
class State:
    """The namespace, and the class attribute that all instances share."""

    names: dict[str, Any] = field(default_factory=dict)
    total: list[Any] = field(default_factory=lambda: [0])

    def get(self, name: str, kind: type | tuple[type, ...] = object) -> Any:
        """Return a name's value; it raises where the session would."""
        if name not in self.names or not isinstance(self.names[name], kind):
            raise Raised
        return self.names[name]

    def canonical(self) -> str:
        """Return the state in the form in which sharing shows."""
        seen: dict[int, int] = {}

        def form(value: Any) -> Any:
            if value is None or type(value) in (int, str):
                return value
            known = id(value) in seen
            number = seen.setdefault(id(value), len(seen))
            if known:
                return ["again", number]
            if type(value) is list:
                return ["list", [form(each) for each in value]]
            if type(value) is dict:
                return ["dict", [[key, form(each)] for key, each in value.items()]]
            if type(value) is Obj:
                return ["object", [[key, form(each)] for key, each in vars(value).items()]]
            if type(value) is bytearray:
                return ["buffer", list(value)]
            if type(value) is View:
                return ["view", form(value.buffer)]
            return ["counter", value.n]

        names = [[name, form(self.names[name])] for name in NAMES if name in self.names]
        return repr([names, form(self.total)])


@dataclass(frozen=True)
class Statement:
    """One line of a program: its source, and what it does to the model."""

    code: str
    apply: Callable[[State], None]

    def __repr__(self) -> str:
        return self.code


def _bind(name: str, code: str, make: Callable[[], Any]) -> Statement:
    return Statement(f"{name} = {code}", lambda state: state.names.update({name: make()}))


def _alias(to: str, source: str) -> Statement:
    return Statement(f"{to} = {source}", lambda state: state.names.update({to: state.get(source)}))


def _append(to: str, source: str) -> Statement:
    def apply(state: State) -> None:
        target = state.get(to, list)
        target.append(state.get(source))

    return Statement(f"{to}.__class__ is list or 1/0; {to}.append({source})", apply)


def _put(to: str, key: str, source: str) -> Statement:
    def apply(state: State) -> None:
        value = state.get(source)  # Python looks at the value first
        state.get(to, dict)[key] = value

    return Statement(f"{to}.__class__ is dict or 1/0; {to}[{key!r}] = {source}", apply)


def _attribute(to: str, key: str, source: str) -> Statement:
    def apply(state: State) -> None:
        setattr(state.get(to, Obj), key, state.get(source))

    return Statement(f"{to}.__class__ is Obj or 1/0; {to}.{key} = {source}", apply)


def _delete(name: str) -> Statement:
    def apply(state: State) -> None:
        state.get(name)
        del state.names[name]

    return Statement(f"del {name}", apply)


def _total(source: str) -> Statement:
    return Statement(f"Obj.total.append({source})", lambda state: state.total.append(state.get(source)))


def _new_total(number: int) -> Statement:
    def apply(state: State) -> None:
        state.total = [number]

    return Statement(f"Obj.total = [{number}]", apply)


def _count(name: str) -> Statement:
    def apply(state: State) -> None:
        state.get(name, Counter).n += 1

    return Statement(f"{name}()", apply)


def _global(name: str, number: int) -> Statement:
    code = f"def store():\n    global {name}\n    {name} = [{number}]\nstore()\ndel store"
    return Statement(code, lambda state: state.names.update({name: [number]}))


def _view(to: str, source: str) -> Statement:
    def apply(state: State) -> None:
        state.names[to] = View(state.get(source, bytearray))

    return Statement(f"{source}.__class__ is bytearray or 1/0; {to} = memoryview({source})", apply)


def _write(name: str, number: int) -> Statement:
    def apply(state: State) -> None:
        target = state.get(name, (bytearray, View))
        (target.buffer if isinstance(target, View) else target)[1] = number

    return Statement(f"{name}.__class__ in (bytearray, memoryview) or 1/0; {name}[1] = {number}", apply)


_name = st.sampled_from(NAMES)
_number = st.integers(0, 9)
_key = st.sampled_from(("x", "y"))

statements: Final = st.one_of(
    st.builds(lambda name, n: _bind(name, str(n), lambda: n), _name, _number),
    st.builds(lambda name, n: _bind(name, f"[{n}]", lambda: [n]), _name, _number),
    st.builds(lambda name, n: _bind(name, f"{{'k': {n}}}", lambda: {"k": n}), _name, _number),
    st.builds(lambda name: _bind(name, "Obj()", Obj), _name),
    st.builds(lambda name: _bind(name, "counter()", Counter), _name),
    st.builds(lambda name: _bind(name, "bytearray(3)", lambda: bytearray(3)), _name),
    st.builds(_alias, _name, _name),
    st.builds(_append, _name, _name),
    st.builds(_put, _name, _key, _name),
    st.builds(_attribute, _name, _key, _name),
    st.builds(_delete, _name),
    st.builds(_total, _name),
    st.builds(_new_total, _number),
    st.builds(_count, _name),
    st.builds(_global, _name, _number),
    st.builds(_view, _name, _name),
    st.builds(_write, _name, _number),
)

ENDINGS: Final = {
    "": Operation.STATE_SUCCEEDED,
    "raise ValueError": Operation.STATE_FAILED,
    "os._exit(1)": Operation.STATE_CRASHED,
    "os.kill(os.getpid(), signal.SIGSEGV)": Operation.STATE_CRASHED,
}


@dataclass(frozen=True)
class Run:
    """Run statements under a policy; inside a transaction if one is open."""

    policy: transaction_pb2.TxPolicy
    statements: tuple[Statement, ...]
    ending: str

    @property
    def code(self) -> str:
        """Its source."""
        return "\n".join([*(each.code for each in self.statements), self.ending])


@dataclass(frozen=True)
class Begin:
    """Begin a transaction; nothing while one is open."""


@dataclass(frozen=True)
class End:
    """End the open transaction; nothing while none is."""

    commit: bool


Step = Run | Begin | End

_runs = st.builds(
    Run,
    st.sampled_from(
        (
            transaction_pb2.TX_POLICY_NONE,
            transaction_pb2.TX_POLICY_COMMIT_ON_SUCCESS,
            transaction_pb2.TX_POLICY_ROLLBACK_ON_FAILURE,
        )
    ),
    st.lists(statements, min_size=1, max_size=5).map(tuple),
    st.sampled_from(("", "", "", "raise ValueError", "raise ValueError", *list(ENDINGS)[2:])),
)

programs: Final = st.lists(
    st.one_of(_runs, _runs, _runs, st.just(Begin()), st.builds(End, st.booleans())), min_size=2, max_size=10
)


@dataclass
class Model:
    """A session as it must be: the state, and the copy to which the open transaction would go back."""

    state: State = field(default_factory=State)
    base: State | None = None

    def run(self, step: Run) -> tuple[Operation.State, Operation.Outcome]:
        """Do what the session must do, and return how the operation must end."""
        before = copy.deepcopy(self.state)
        how = ENDINGS[step.ending]
        try:
            for each in step.statements:
                each.apply(self.state)
        except Raised:
            how = Operation.STATE_FAILED
        plain = step.policy == transaction_pb2.TX_POLICY_NONE
        if how == Operation.STATE_CRASHED and plain and self.base is not None:
            self.state, self.base = self.base, None  # with its interpreter goes the transaction
            return how, Operation.OUTCOME_ROLLED_BACK
        if how == Operation.STATE_CRASHED or (how == Operation.STATE_FAILED and not plain):
            self.state = before  # in a transaction: to the savepoint
            return how, Operation.OUTCOME_ROLLED_BACK
        if self.base is not None:
            return how, Operation.OUTCOME_PENDING
        failed = how == Operation.STATE_FAILED
        return how, Operation.OUTCOME_PARTIAL if failed else Operation.OUTCOME_COMMITTED

    def begin(self) -> None:
        """Remember the state."""
        self.base = copy.deepcopy(self.state)

    def end(self, *, commit: bool) -> None:
        """Keep the state, or go back."""
        assert self.base is not None
        if not commit:
            self.state = self.base
        self.base = None
