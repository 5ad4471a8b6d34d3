"""The state machine of an operation, and every cell of the table of policies."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbank.v1.execution_pb2 import Operation as Message
from sandbank.v1.transaction_pb2 import Isolation as IsolationMessage
from sandbank.v1.transaction_pb2 import TxPolicy
from sandbank_runner.supervisor.operations import (
    End,
    IllegalTransition,
    Isolation,
    Kind,
    Operation,
    Outcome,
    Policy,
    State,
    Stop,
)


def operation(**more: Any) -> Operation:
    """Return a fresh one."""
    return Operation("a", b"1", timeout=1.0, max_output_bytes=1, create_time=1, **more)


def started(**more: Any) -> Operation:
    """Return one that runs."""
    one = operation(**more)
    one.start(7, 4, 5, 100)
    return one


@pytest.mark.parametrize("state", State)
def test_states_are_numbered_as_in_the_api(state: State):
    """Their numbers go into messages as they are."""
    assert Message.State.Name(int(state)) == f"STATE_{state.name}"


@pytest.mark.parametrize("outcome", Outcome)
def test_outcomes_are_numbered_as_in_the_api(outcome: Outcome):
    """Likewise."""
    assert Message.Outcome.Name(int(outcome)) == f"OUTCOME_{outcome.name}"


@pytest.mark.parametrize("policy", Policy)
def test_policies_are_numbered_as_in_the_api(policy: Policy):
    """Likewise."""
    assert TxPolicy.Name(int(policy)) == f"TX_POLICY_{policy.name}"


@pytest.mark.parametrize("isolation", Isolation)
def test_isolations_are_numbered_as_in_the_api(isolation: Isolation):
    """Likewise."""
    assert IsolationMessage.Name(int(isolation)) == f"ISOLATION_{isolation.name}"


def test_what_runs_is_known_by_its_numbers():
    """It begins in one state, and its effect makes another."""
    one = started()
    assert (one.state, one.execution_count, one.base, one.effect, one.start_time) == (
        State.RUNNING,
        7,
        4,
        5,
        100,
    )


ENDS = [
    # how, stopped by, whether the interrupt ended it, the state that follows
    (End.RETURNED, None, False, State.SUCCEEDED),
    (End.RETURNED, Stop.CANCEL, False, State.SUCCEEDED),
    (End.RETURNED, Stop.TIMEOUT, True, State.SUCCEEDED),
    (End.RAISED, None, False, State.FAILED),
    (End.RAISED, None, True, State.FAILED),
    (End.RAISED, Stop.CANCEL, False, State.FAILED),
    (End.RAISED, Stop.CANCEL, True, State.CANCELLED),
    (End.RAISED, Stop.TIMEOUT, True, State.TIMED_OUT),
    (End.KILLED, Stop.CANCEL, False, State.CANCELLED),
    (End.KILLED, Stop.TIMEOUT, False, State.TIMED_OUT),
    (End.DIED, None, False, State.CRASHED),
    (End.DIED, Stop.CANCEL, True, State.CRASHED),
]

ROWS: dict[Kind, tuple[dict[str, Any], dict[State, Outcome]]] = {
    Kind.NONE: (
        {},
        {
            State.SUCCEEDED: Outcome.COMMITTED,
            State.FAILED: Outcome.PARTIAL,
            State.CANCELLED: Outcome.PARTIAL,
            State.TIMED_OUT: Outcome.PARTIAL,
        },
    ),
    Kind.ATOMIC: ({"policy": Policy.COMMIT_ON_SUCCESS}, {State.SUCCEEDED: Outcome.COMMITTED}),
    Kind.MEMBER: (
        {"policy": Policy.EXPLICIT, "transaction_id": "t"},
        {State.SUCCEEDED: Outcome.PENDING, State.FAILED: Outcome.PENDING},
    ),
    Kind.SAVEPOINT: (
        {"policy": Policy.ROLLBACK_ON_FAILURE, "transaction_id": "t"},
        {State.SUCCEEDED: Outcome.PENDING},
    ),
    Kind.NAMES: ({"isolation": Isolation.NAMESPACE}, {State.SUCCEEDED: Outcome.COMMITTED}),
    Kind.NAMES_MEMBER: (
        {"isolation": Isolation.NAMESPACE, "transaction_id": "t"},
        {State.SUCCEEDED: Outcome.PENDING},
    ),
}
"""What a row of the table keeps; all else is rolled back, and everything when the interpreter goes."""


@pytest.mark.parametrize(("how", "stop", "interrupted", "state"), ENDS)
@pytest.mark.parametrize("kind", Kind)
def test_every_cell_of_the_table(kind: Kind, how: End, stop: Stop | None, interrupted: bool, state: State):
    """State and outcome by policy and end; and whether the interpreter must go back for it."""
    fields, kept = ROWS[kind]
    one = started(**fields)
    assert one.kind is kind
    if stop is not None:
        assert one.wish(stop)
    one.interrupted = interrupted
    gone = how in (End.KILLED, End.DIED)
    outcome = Outcome.ROLLED_BACK if gone else kept.get(state, Outcome.ROLLED_BACK)
    undone = outcome is Outcome.ROLLED_BACK and not gone and one.isolation is Isolation.PROCESS
    assert one.must_be_undone(how) == undone
    one.end(how, 200)
    assert (one.state, one.outcome, one.end_time, one.finished) == (state, outcome, 200, True)


@pytest.mark.parametrize("policy", Policy)
def test_a_member_without_a_policy_of_its_own_is_a_plain_one(policy: Policy):
    """NONE and EXPLICIT mean the same there; the two others are savepoints."""
    kind = operation(policy=policy, transaction_id="t").kind
    assert kind is (Kind.MEMBER if policy in (Policy.NONE, Policy.EXPLICIT) else Kind.SAVEPOINT)


@pytest.mark.parametrize(
    ("kind", "stop", "alone"),
    [
        (Kind.NONE, None, True),
        (Kind.ATOMIC, None, True),
        (Kind.SAVEPOINT, None, True),
        (Kind.MEMBER, None, False),
        (Kind.MEMBER, Stop.CANCEL, True),
        (Kind.NAMES_MEMBER, Stop.TIMEOUT, False),
    ],
)
def test_what_goes_with_the_interpreter(kind: Kind, stop: Stop | None, alone: bool):
    """A member's death takes its transaction along; where it had to be killed, or is a savepoint, only itself."""
    one = started(**ROWS[kind][0])
    if stop is not None:
        one.wish(stop)
    assert one.is_undone_alone == alone


def test_names_in_conflict_are_not_merged():
    """The code succeeded, and nothing of it stays; nothing needs to be undone either."""
    one = started(isolation=Isolation.NAMESPACE, conflicting_names=("x",))
    assert not one.must_be_undone(End.RETURNED)
    one.end(End.RETURNED, 200)
    assert (one.state, one.outcome) == (State.SUCCEEDED, Outcome.ROLLED_BACK)


@pytest.mark.parametrize(("how", "state"), [(End.WITHDRAWN, State.CANCELLED), (End.REFUSED, State.FAILED)])
def test_what_never_began_has_no_effects(how: End, state: State):
    """Taken out of the queue, or refused when it was its turn. A wish to stop it is none for a ladder."""
    one = operation()
    assert not one.wish(Stop.CANCEL)
    one.end(how, 5)
    assert (one.state, one.outcome, one.start_time) == (state, Outcome.NOT_STARTED, 0)


def test_the_first_wish_counts():
    """A cancel does not turn a timeout into a cancel."""
    one = started()
    assert one.wish(Stop.TIMEOUT)
    assert not one.wish(Stop.CANCEL)
    assert one.stop is Stop.TIMEOUT


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("end", [End.RETURNED, End.RAISED, End.DIED])
def test_the_end_of_a_transaction_settles_its_members(end: End, committed: bool):
    """COMMITTED, or PARTIAL for one that raised; ROLLED_BACK; what was rolled back before stays so."""
    one = started(transaction_id="t")
    one.end(end, 2)
    one.settle(committed=committed)
    kept = {End.RETURNED: Outcome.COMMITTED, End.RAISED: Outcome.PARTIAL}
    assert one.outcome is (kept.get(end, Outcome.ROLLED_BACK) if committed else Outcome.ROLLED_BACK)
    assert one.lose() == (committed and end is not End.DIED)


@pytest.mark.parametrize(("end", "lost"), [(End.RETURNED, True), (End.RAISED, True), (End.DIED, False)])
def test_only_what_had_effects_can_lose_them(end: End, lost: bool):
    """COMMITTED and PARTIAL become LOST; what was rolled back or never began has nothing to lose."""
    one = started()
    one.end(end, 2)
    assert one.lose() == lost == one.effects_lost
    assert not one.lose()


def test_what_somebody_gives_up_is_rolled_back():
    """A rewind is no loss."""
    one = started()
    one.end(End.RETURNED, 2)
    assert one.lose(asked_for=True)
    assert one.outcome is Outcome.ROLLED_BACK


@given(
    st.sampled_from(list(Kind)),
    st.lists(st.sampled_from(["start", "cancel", "timeout", *End]), max_size=6),
)
def test_no_sequence_of_steps_leaves_the_table(kind: Kind, steps: list[str | End]):
    """Each step either is legal or raises with the history; a finished operation never changes again."""
    one = operation(**ROWS[kind][0])
    for step in steps:
        before = (one.state, one.outcome, one.end_time)
        finished = one.finished
        try:
            if step == "start":
                one.start(1, 0, 1, 1)
            elif isinstance(step, End):
                one.end(step, 9)
            else:
                one.wish(Stop(step))
        except IllegalTransition as error:
            assert set(one.history) <= set(eval(str(error).partition(" after ")[2]))  # noqa: PT017
            assert (one.state, one.outcome, one.end_time) == before
        if finished:
            assert (one.state, one.outcome, one.end_time) == before
        assert one.finished == (one.outcome is not Outcome.UNSPECIFIED) == bool(one.end_time)
