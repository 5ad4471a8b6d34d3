"""Checks of request fields, and page tokens."""

from __future__ import annotations

import string
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbank.v1 import session_pb2
from sandbank_server.errors import ArgumentError, BadFieldError
from sandbank_server.grpc_api import validation as check
from sandbank_server.grpc_api.paging import PageTokens

ID_CHARACTERS = string.ascii_letters + string.digits + "._-"
LIMIT, DEFAULT = timedelta(hours=1), timedelta(minutes=1)


def refused(kind: type[ArgumentError], function: Any, *arguments: Any, **options: Any) -> str:
    """Return the path of the field that a check refuses."""
    with pytest.raises(kind) as caught:
        function(*arguments, **options)
    assert type(caught.value) is kind
    [violation] = caught.value.violations
    return violation.path


@given(st.text(ID_CHARACTERS, min_size=1, max_size=128))
def test_ids_of_the_documented_characters_pass(value: str) -> None:
    """All of them, up to 128."""
    assert check.check_id(value, "id") == value


@pytest.mark.parametrize("value", ["", "a b", "a/b", "a\n", "ä", "²", "a\0", "x" * 129, "../x"])
def test_other_ids_are_refused_without_being_repeated(value: str) -> None:
    """BAD_ID with the path; the text goes into logs and trailers, so the value does not."""
    with pytest.raises(ArgumentError) as caught:
        check.check_id(value, "session_id")
    assert caught.value.reason == "BAD_ID"
    assert caught.value.violations[0].path == "session_id"
    assert caught.value.message == "session_id: must match [A-Za-z0-9._-]{1,128}"
    if value:
        with pytest.raises(ArgumentError):
            check.check_optional_id(value, "session_id")
    else:
        assert check.check_optional_id(value, "session_id") == ""


def duration(seconds: int, nanos: int = 0) -> timedelta:
    """Return what the check makes of a duration."""
    request = session_pb2.CreateSessionRequest()
    request.idle_timeout.seconds, request.idle_timeout.nanos = seconds, nanos
    return check.check_duration(request, "idle_timeout", default=DEFAULT, limit=LIMIT)


def test_a_duration_is_taken_up_to_its_limit() -> None:
    """Unset and zero mean the default; the limit itself is allowed."""
    unset = session_pb2.CreateSessionRequest()
    assert check.check_duration(unset, "idle_timeout", default=DEFAULT, limit=LIMIT) == DEFAULT
    assert duration(0) == DEFAULT
    assert duration(3600) == LIMIT
    assert duration(1, 500_000_000) == timedelta(seconds=1.5)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1))
def test_no_duration_gets_past_its_bounds(seconds: int, nanos: int) -> None:
    """Whatever a client puts on the wire: a value within the bounds, or BAD_FIELD."""
    if 0 <= seconds < 3600 and 0 <= nanos <= 999_999_999:
        assert timedelta(0) < duration(seconds, nanos) <= LIMIT
    elif (seconds, nanos // 1000) != (3600, 0):  # less than a microsecond over is nothing
        assert refused(BadFieldError, duration, seconds, nanos) == "idle_timeout"


@pytest.mark.parametrize(
    ("seconds", "nanos"), [(-1, 0), (0, -1), (3600, 1000), (1, -1), (-1, 1), (0, 10**9), (2**62, 0)]
)
def test_a_bad_duration_is_refused(seconds: int, nanos: int) -> None:
    """Negative, over the limit, or none at all."""
    assert refused(BadFieldError, duration, seconds, nanos) == "idle_timeout"


def test_code_is_measured_in_bytes() -> None:
    """Characters may have four; the limit itself is allowed."""
    assert check.check_code("é" * 5, 10, "code") == "é" * 5
    with pytest.raises(ArgumentError) as caught:
        check.check_code("é" * 5 + "x", 10, "execute.code")
    assert caught.value.reason == "CODE_TOO_LARGE"
    assert caught.value.violations[0].path == "execute.code"


def test_counts_have_bounds() -> None:
    """Zero means the default; a page that is too long is cut to the longest."""
    assert check.check_count(0, "n", default=3, limit=5) == 3
    assert check.check_count(5, "n", default=3, limit=5) == 5
    assert refused(BadFieldError, check.check_count, 6, "n", default=3, limit=5) == "n"
    assert refused(BadFieldError, check.check_count, -1, "n", default=3, limit=5) == "n"
    assert check.check_page_size(0) == check.PAGE_SIZE
    assert check.check_page_size(0, default=7) == 7
    assert check.check_page_size(2**31 - 1) == check.PAGE_SIZE_LIMIT
    assert refused(BadFieldError, check.check_page_size, -1) == "page_size"


def test_labels_have_bounds() -> None:
    """In number, key and value; a null byte is no text for a database."""
    assert check.check_labels({"a": "", "k" * 128: "v" * 1024}) == {"a": "", "k" * 128: "v" * 1024}
    for labels in (
        {str(n): "" for n in range(65)},
        {"": "x"},
        {"k" * 129: ""},
        {"k": "v" * 1025},
        {"k\0": ""},
        {"k": "\0"},
    ):
        assert refused(BadFieldError, check.check_labels, labels, "filter_labels") == "filter_labels"


def test_environment_variables_have_bounds_and_stay_secret() -> None:
    """No error repeats a name or a value: these may be secrets."""
    assert check.check_environment({"A_1": "x=y"}, "env") == {"A_1": "x=y"}
    for env in (
        {f"V{n}": "" for n in range(257)},
        {"hunter2 hunter2": "hunter2"},
        {"1A": "hunter2"},
        {"": "hunter2"},
        {"A=B": "hunter2"},
        {"A": "hunter2\0"},
        {"A": "hunter2" * 20_000},
    ):
        with pytest.raises(BadFieldError) as caught:
            check.check_environment(env, "secret_env")
        assert caught.value.violations[0].path == "secret_env"
        assert "hunter2" not in caught.value.message


def test_an_unknown_enum_value_is_refused() -> None:
    """A newer client's; guessing would be worse."""
    known = session_pb2.RecoveryPolicy.DESCRIPTOR.values_by_number
    assert check.check_enum(2, known, "recovery_policy") == 2
    assert refused(BadFieldError, check.check_enum, 77, known, "recovery_policy") == "recovery_policy"


SCOPES = st.lists(
    st.one_of(st.text(max_size=5), st.integers(), st.dictionaries(st.text(), st.text(), max_size=2))
)
CURSORS = st.one_of(st.integers(), st.text(), st.lists(st.text(), max_size=3))


@given(SCOPES, CURSORS)
def test_a_page_token_gives_back_its_cursor(scope: list[Any], cursor: Any) -> None:
    """For the same listing and key; an empty token is the start."""
    tokens = PageTokens(b"key" * 11)
    assert tokens.read(scope, tokens.make(scope, cursor)) == cursor
    assert tokens.read(scope, "") is None


@given(SCOPES, SCOPES, CURSORS)
def test_a_page_token_is_bound_to_its_listing_and_server(
    scope: list[Any], other: list[Any], cursor: Any
) -> None:
    """Other filters, another tenant or another installation: BAD_FIELD, page_token."""
    tokens = PageTokens(b"key" * 11)
    token = tokens.make(scope, cursor)
    assert refused(BadFieldError, PageTokens(b"other").read, scope, token) == "page_token"
    if scope != other:
        assert refused(BadFieldError, tokens.read, other, token) == "page_token"


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_page_token_that_was_touched_is_refused(position: int, change: int) -> None:
    """Every character counts."""
    tokens = PageTokens(b"key" * 11)
    token = tokens.make(["sessions"], "cursor-7")
    position %= len(token)
    altered = token[:position] + chr((ord(token[position]) + change) % 0x110000) + token[position + 1 :]
    if not altered.isprintable():
        return
    assert refused(BadFieldError, tokens.read, ["sessions"], altered) == "page_token"


@given(st.text())
def test_made_up_page_tokens_are_refused(token: str) -> None:
    """Whatever the text."""
    if token:
        assert refused(BadFieldError, PageTokens(b"k").read, ["x"], token) == "page_token"
