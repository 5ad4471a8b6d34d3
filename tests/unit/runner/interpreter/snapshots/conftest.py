"""Interpreters that can go back, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.unit.runner.interpreter.harness import Interpreter
from tests.unit.runner.interpreter.snapshots.harness import Timeline


@pytest.fixture
def timeline(start: Callable[..., Interpreter]) -> Iterator[Timeline]:
    """A fresh interpreter; its snapshots end with the test."""
    made = Timeline(start())
    yield made
    made.close()
