"""Frames on a stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbank_runner.supervisor.frames import FrameReader, FrameViolation, frame


@given(st.lists(st.binary(max_size=50), max_size=10), st.lists(st.integers(1, 20), min_size=1))
def test_any_cut_of_the_stream_gives_the_same_frames(messages: list[bytes], cuts: list[int]):
    """TCP and Unix sockets know no boundaries."""
    data = b"".join(map(frame, messages))
    reader = FrameReader(50)
    got = []
    turn = 0
    while data:
        size = cuts[turn % len(cuts)]
        turn += 1
        reader.feed(data[:size])
        data = data[size:]
        while (message := reader.next()) is not None:
            got.append(message)
    assert got == messages
    assert reader.missing == 4


def test_a_frame_over_the_limit_is_refused_before_it_is_read():
    """By its length alone, so that nothing is kept of it."""
    reader = FrameReader(10)
    reader.feed(b"\0\0\0\x0b")
    with pytest.raises(FrameViolation):
        reader.next()
    reader = FrameReader(10)
    reader.feed(frame(b"x" * 10))
    assert reader.next() == b"x" * 10
