"""What a sandbox says of a place in code: a lie is possible, but it is bounded and well-formed."""

from __future__ import annotations

import pytest
from sandbank.v1 import state_pb2
from sandbank_runner.v1 import runner_pb2
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.runners.places import RESPONSE_BYTES, check_completion, check_description

Match = state_pb2.CompletionMatch


def said(response: bytes | state_pb2.CompleteResponse | state_pb2.InspectResponse) -> runner_pb2.ReadResult:
    """Return a sandbox's answer."""
    data = response if isinstance(response, bytes) else response.SerializeToString()
    return runner_pb2.ReadResult(response=data, as_of_operation_id="op", stale=True)


def test_what_is_well_formed_is_handed_on_with_what_it_includes() -> None:
    """The state that was seen is what the result says, whatever is in the answer."""
    liar = {"operation_id": "other"}
    completion = state_pb2.CompleteResponse(
        matches=[Match(text="a")], start_position=1, end_position=3, as_of=liar
    )
    found = check_completion(said(completion), 3)
    assert (found.matches[0].text, found.as_of.operation_id, found.as_of.stale) == ("a", "op", True)
    description = check_description(
        said(state_pb2.InspectResponse(found=True, data={"text/plain": b"x"}, as_of=liar))
    )
    assert (description.data["text/plain"], description.as_of.operation_id) == (b"x", "op")
    assert not check_description(said(b"")).found


@pytest.mark.parametrize(
    "response",
    [
        b"\xff",
        pytest.param(b"\x0a" + b"\x00" * (RESPONSE_BYTES + 1), id="too-large"),
        state_pb2.CompleteResponse(start_position=-1, end_position=3),
        state_pb2.CompleteResponse(start_position=4, end_position=3),
        state_pb2.CompleteResponse(start_position=0, end_position=4),
        state_pb2.CompleteResponse(end_position=3, matches=[Match()] * 1001),
        state_pb2.CompleteResponse(end_position=3, matches=[Match(text="x" * 2001)]),
        state_pb2.CompleteResponse(end_position=3, matches=[Match(signature="x" * 2001)]),
    ],
)
def test_completions_that_are_none_break_the_protocol(
    response: bytes | state_pb2.CompleteResponse,
) -> None:
    """Malformed, too large, of another place."""
    with pytest.raises(RunnerViolation):
        check_completion(said(response), 3)


@pytest.mark.parametrize(
    "response",
    [
        b"\xff",
        state_pb2.InspectResponse(found=True),
        state_pb2.InspectResponse(found=False, data={"text/plain": b"x"}),
        state_pb2.InspectResponse(found=True, data={"": b"x"}),
        state_pb2.InspectResponse(found=True, data={"a\nb": b"x"}),
        state_pb2.InspectResponse(found=True, data={f"a/{n}": b"x" for n in range(9)}),
    ],
)
def test_descriptions_that_are_none_break_the_protocol(response: bytes | state_pb2.InspectResponse) -> None:
    """Likewise."""
    with pytest.raises(RunnerViolation):
        check_description(said(response))
