"""What a reader says is believed in nothing: each field is checked, bounded, or the message is dropped."""

from __future__ import annotations

from typing import Any

import pytest
from sandbank_runner.channel import Message
from sandbank_runner.supervisor.interpreter_messages import BadMessage
from sandbank_runner.supervisor.reader_messages import (
    LONGEST_PREVIEW,
    parse_no_value,
    parse_value,
    parse_variables,
)

GOOD: dict[str, Any] = {
    "name": "n",
    "type_name": "numpy.ndarray",
    "size_bytes": 80,
    "shape": [2, 5],
    "dtype": "float64",
    "length": 2,
    "preview": "[[…]]",
    "unsavable": "",
}


def variables(*items: Any, at: Any = None) -> Message:
    """Return a message with these."""
    return Message({"type": "variables", "items": list(items), "at": at})


def test_a_description_becomes_a_variable() -> None:
    """Field by field; what is left out is empty, and a length that is not there is absent."""
    (found,), at = parse_variables(variables(GOOD, at={"name": "m", "type_name": "int"}))
    assert (found.name, found.type_name, found.size_bytes, list(found.shape)) == (
        "n",
        "numpy.ndarray",
        80,
        [2, 5],
    )
    assert (found.dtype, found.length, found.preview) == ("float64", 2, "[[…]]")
    assert at is not None
    assert (at.name, at.type_name, at.preview, at.HasField("length")) == ("m", "int", "", False)
    assert (found.serializable, found.unserializable_reason) == (True, "")
    assert not at.serializable
    assert "not tried" in at.unserializable_reason


def test_why_a_variable_cannot_be_saved_is_handed_on():
    """What a reader has found out by trying; without a word of it, the variable is not called serializable."""
    (found,), _ = parse_variables(variables({**GOOD, "unsavable": "a lock cannot be saved"}))
    assert (found.serializable, found.unserializable_reason) == (False, "a lock cannot be saved")
    (found,), _ = parse_variables(variables({key: part for key, part in GOOD.items() if key != "unsavable"}))
    assert not found.serializable


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": 7},
        {"type_name": None},
        {"size_bytes": "80"},
        {"size_bytes": 1.5},
        {"size_bytes": True},
        {"shape": 7},
        {"shape": [1] * 100},
        {"shape": ["x"]},
        {"dtype": []},
        {"length": {}},
        {"preview": 7},
    ],
    ids=str,
)
def test_a_field_of_another_type_is_dropped_with_its_message(wrong: dict[str, Any]) -> None:
    """Nothing of it is taken."""
    with pytest.raises(BadMessage):
        parse_variables(variables({**GOOD, **wrong}))


@pytest.mark.parametrize("items", [None, 7, {}, [None], [[]], ["x"]], ids=str)
def test_items_that_are_none_are_dropped(items: Any) -> None:
    """Whatever they are instead."""
    with pytest.raises(BadMessage):
        parse_variables(Message({"type": "variables", "items": items}))


def test_numbers_and_texts_are_bounded() -> None:
    """What any client's language can hold, and what fits a frame; text is valid UTF-8."""
    (found,), _ = parse_variables(
        variables(
            {**GOOD, "size_bytes": 10**30, "length": -5, "preview": "\udc80" * 10_000, "name": "x" * 10_000}
        )
    )
    assert (found.size_bytes, found.length) == (2**53, 0)
    assert (len(found.preview), len(found.name)) == (LONGEST_PREVIEW, 1000)
    assert found.SerializeToString()


def test_a_value_over_its_bound_is_dropped() -> None:
    """It was asked for no more."""
    message = Message({"type": "value", "mime_type": "text/plain", "preview": None}, (b"x" * 11,))
    assert parse_value(message, 11) == ("text/plain", None, b"x" * 11)
    with pytest.raises(BadMessage):
        parse_value(message, 10)


def test_a_refusal_is_bounded_text() -> None:
    """Whatever it says."""
    message = Message({"type": "no_value", "reason": "x" * 1000, "message": "y" * 10_000, "size": 10**30})
    reason, text, size = parse_no_value(message)
    assert (len(reason), len(text), size) == (250, 300, 2**53)
