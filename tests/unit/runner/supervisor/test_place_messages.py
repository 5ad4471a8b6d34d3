"""What a reader says of a place in code is bounded and checked: it runs hostile code."""

from __future__ import annotations

from typing import Any

import pytest
from sandbank_runner.channel import Message
from sandbank_runner.supervisor.interpreter_messages import BadMessage
from sandbank_runner.supervisor.place_messages import parse_completed, parse_inspected


def completed(**fields: Any) -> Message:
    """Say what completes."""
    return Message(
        {"type": "completed", "matches": [["a", "function", "()"]], "start": 1, "end": 3, **fields}
    )


def inspected(*blobs: bytes, **fields: Any) -> Message:
    """Say what is known."""
    return Message({"type": "inspected", "found": True, "mime": ["text/plain"], **fields}, blobs)


def test_completions_are_handed_on() -> None:
    """Up to the position that was asked about, whatever the reader says of it."""
    found = parse_completed(completed(end=77), 3)
    assert (found.start_position, found.end_position) == (1, 3)
    (match,) = found.matches
    assert (match.text, match.type, match.signature) == ("a", "function", "()")
    (match,) = parse_completed(completed(matches=[["\ud800" * 2000, "", ""]]), 3).matches
    assert match.text == "\\ud800" * 166 + "\\ud8"


@pytest.mark.parametrize(
    "fields",
    [
        {"matches": None},
        {"matches": {}},
        {"matches": [["a"]]},
        {"matches": [["a", "b", 1]]},
        {"matches": ["abc"]},
        {"matches": [["a", "", ""]] * 1001},
        {"start": None},
        {"start": True},
        {"start": -1},
        {"start": 4},
        {"start": 1.0},
    ],
)
def test_completions_that_are_none_are_dropped(fields: dict[str, Any]) -> None:
    """Another shape, too many, or of another place."""
    with pytest.raises(BadMessage):
        parse_completed(completed(**fields), 3)


def test_descriptions_are_handed_on() -> None:
    """By type."""
    assert dict(parse_inspected(inspected(b"x")).data) == {"text/plain": b"x"}
    assert not parse_inspected(inspected(found=False, mime=[])).found


@pytest.mark.parametrize(
    ("blobs", "fields"),
    [
        ((), {}),
        ((b"x", b"y"), {}),
        ((b"x",), {"found": 1}),
        ((b"x",), {"found": False}),
        ((b"x",), {"mime": None}),
        ((b"x",), {"mime": [1]}),
        ((b"x",), {"mime": [""]}),
        ((b"x",) * 9, {"mime": [f"a/{n}" for n in range(9)]}),
        ((b"x" * (4 * 1024 * 1024 + 1),), {}),
    ],
)
def test_descriptions_that_are_none_are_dropped(blobs: tuple[bytes, ...], fields: dict[str, Any]) -> None:
    """Likewise."""
    with pytest.raises(BadMessage):
        parse_inspected(inspected(*blobs, **fields))
