"""Checking what an interpreter says."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbank_runner.channel import Message
from sandbank_runner.supervisor.interpreter_messages import BadMessage, parse_display, parse_done

GOOD: dict[str, Any] = {
    "ok": True,
    "mime": [],
    "error": None,
    "interrupted": False,
    "cpu_seconds": 0.5,
    "peak_memory_bytes": 7,
}

BAD_DONE = {
    "ok is text": {"ok": "yes"},
    "ok is a number": {"ok": 1},
    "an error although ok": {"error": {}},
    "no error although not ok": {"ok": False},
    "an error that is text": {"ok": False, "error": "no"},
    "frames that are no list": {"ok": False, "error": {"frames": {}}},
    "frames of text": {"ok": False, "error": {"frames": ["a"]}},
    "a line that is text": {"ok": False, "error": {"frames": [{"line_number": "1"}]}},
    "a message that is a number": {"ok": False, "error": {"message": 1}},
    "a syntax error that is a list": {"ok": False, "error": {"syntax_error": []}},
    "more types than blobs": {"mime": ["a"]},
    "types that are no list": {"mime": "text/plain"},
    "no time": {"cpu_seconds": None},
    "time that is true": {"cpu_seconds": True},
    "memory that is a fraction": {"peak_memory_bytes": 1.5},
}


@pytest.mark.parametrize("fields", BAD_DONE.values(), ids=BAD_DONE)
def test_a_done_with_a_wrong_field_is_refused(fields: dict[str, Any]):
    """Whole: half a truth is none."""
    with pytest.raises(BadMessage):
        parse_done(Message({**GOOD, **fields}))


def test_a_type_must_be_a_short_name():
    """It becomes a key of a public map."""
    for kind in ("", "x" * 257, 7, None):
        with pytest.raises(BadMessage):
            parse_done(Message({**GOOD, "mime": [kind]}, (b"",)))
    assert parse_done(Message({**GOOD, "mime": ["x" * 256]}, (b"1",))).result == {"x" * 256: b"1"}


def test_an_error_has_no_result_beside_it():
    """Both at once might not fit one message; what is dropped is counted."""
    done = parse_done(Message({**GOOD, "ok": False, "error": {}, "mime": ["a"]}, (b"12345",)))
    assert (done.result, done.dropped_bytes) == ({}, 5)


@pytest.mark.parametrize(
    ("seconds", "kept"),
    [(float("nan"), 0), (float("inf"), 0), (float("-inf"), 0), (-1, 0), (10**400, 10**9), (0.5, 0.5)],
)
def test_times_are_brought_into_bounds(seconds: float, kept: float):
    """Whatever JSON in Python takes for a number."""
    assert parse_done(Message({**GOOD, "cpu_seconds": seconds})).cpu_seconds == kept


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": []},
        {"metadata": {"a": float("nan")}},
        {"metadata": {"": 1}},
        {"display_id": 5},
        {"update": "no"},
        {"mime": ["a"]},
    ],
)
def test_a_display_with_a_wrong_field_is_refused(fields: dict[str, Any]):
    """Likewise."""
    with pytest.raises(BadMessage):
        parse_display(Message({"mime": [], "metadata": {}, "display_id": "", "update": False, **fields}))


def test_a_display_is_taken_over():
    """Metadata as JSON, text that UTF-8 cannot carry escaped."""
    display = parse_display(
        Message(
            {
                "mime": ["text/plain"],
                "metadata": {"a\ud800": {"b": "\ud800"}},
                "display_id": "\udcffid",
                "update": True,
            },
            (b"x",),
        )
    )
    assert dict(display.data) == {"text/plain": b"x"}
    assert dict(display.metadata) == {"a\\ud800": '{"b":"\\ud800"}'}
    assert (display.display_id, display.update) == ("\\udcffid", True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*GOOD, "metadata", "display_id", "update"]), JSON))
def test_nothing_but_a_refusal_comes_of_any_header(fields: dict[str, Any]):
    """Whatever the fields hold."""
    for parse in (parse_done, parse_display):
        with contextlib.suppress(BadMessage):
            parse(Message({**GOOD, **fields}))
