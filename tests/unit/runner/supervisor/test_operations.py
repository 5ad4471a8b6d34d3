"""The state machine of an operation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbank.v1.execution_pb2 import Operation as Message
from sandbank_runner.supervisor.operations import End, IllegalTransition, Operation, Outcome, State, Stop


def operation() -> Operation:
    """Return a fresh one."""
    return Operation("a", b"1", timeout=1.0, max_output_bytes=1, create_time=1)


@pytest.mark.parametrize("state", State)
def test_states_are_numbered_as_in_the_api(state: State):
    """Their numbers go into messages as they are."""
    assert Message.State.Name(int(state)) == f"STATE_{state.name}"


@pytest.mark.parametrize("outcome", Outcome)
def test_outcomes_are_numbered_as_in_the_api(outcome: Outcome):
    """Likewise."""
    assert Message.Outcome.Name(int(outcome)) == f"OUTCOME_{outcome.name}"


@pytest.mark.parametrize(
    ("stop", "interrupted", "end", "state", "outcome"),
    [
        (None, False, End.RETURNED, State.SUCCEEDED, Outcome.COMMITTED),
        (Stop.CANCEL, False, End.RETURNED, State.SUCCEEDED, Outcome.COMMITTED),
        (Stop.TIMEOUT, True, End.RETURNED, State.SUCCEEDED, Outcome.COMMITTED),
        (None, False, End.RAISED, State.FAILED, Outcome.PARTIAL),
        (None, True, End.RAISED, State.FAILED, Outcome.PARTIAL),
        (Stop.CANCEL, False, End.RAISED, State.FAILED, Outcome.PARTIAL),
        (Stop.CANCEL, True, End.RAISED, State.CANCELLED, Outcome.PARTIAL),
        (Stop.TIMEOUT, True, End.RAISED, State.TIMED_OUT, Outcome.PARTIAL),
        (Stop.CANCEL, False, End.KILLED, State.CANCELLED, Outcome.ROLLED_BACK),
        (Stop.TIMEOUT, False, End.KILLED, State.TIMED_OUT, Outcome.ROLLED_BACK),
        (None, False, End.DIED, State.CRASHED, Outcome.ROLLED_BACK),
        (Stop.CANCEL, True, End.DIED, State.CRASHED, Outcome.ROLLED_BACK),
    ],
)
def test_what_becomes_of_a_running_operation(
    stop: Stop | None, interrupted: bool, end: End, state: State, outcome: Outcome
):
    """The table of the transaction policies, for NONE."""
    one = operation()
    one.start(7, 3, 100)
    assert (one.state, one.execution_count, one.generation, one.start_time) == (State.RUNNING, 7, 3, 100)
    if stop is not None:
        assert one.wish(stop)
    one.interrupted = interrupted
    one.end(end, 200)
    assert (one.state, one.outcome, one.end_time, one.finished) == (state, outcome, 200, True)


def test_a_queued_operation_can_only_be_withdrawn():
    """It has not begun, and a wish to stop it is none for a ladder."""
    one = operation()
    assert not one.wish(Stop.CANCEL)
    one.end(End.WITHDRAWN, 5)
    assert (one.state, one.outcome, one.start_time) == (State.CANCELLED, Outcome.NOT_STARTED, 0)


def test_the_first_wish_counts():
    """A cancel does not turn a timeout into a cancel."""
    one = operation()
    one.start(1, 1, 1)
    assert one.wish(Stop.TIMEOUT)
    assert not one.wish(Stop.CANCEL)
    assert one.stop is Stop.TIMEOUT


@pytest.mark.parametrize(("end", "lost"), [(End.RETURNED, True), (End.RAISED, True), (End.DIED, False)])
def test_only_what_had_effects_can_lose_them(end: End, lost: bool):
    """COMMITTED and PARTIAL become LOST; what was rolled back or never began has nothing to lose."""
    one = operation()
    one.start(1, 1, 1)
    one.end(end, 2)
    assert one.lose() == lost == one.effects_lost
    assert not one.lose()


@given(st.lists(st.sampled_from(["start", "cancel", "timeout", *End]), max_size=6))
def test_no_sequence_of_steps_leaves_the_table(steps: list[str | End]):
    """Each step either is legal or raises with the history; a finished operation never changes again."""
    one = operation()
    for step in steps:
        before = (one.state, one.outcome, one.end_time)
        finished = one.finished
        try:
            if step == "start":
                one.start(1, 1, 1)
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
