"""What a report must not say: reads, equal values, what caches hold."""

from __future__ import annotations

import pytest

from tests.unit.runner.interpreter.changes.cases import NOT_REPORTED, NUMERIC_NOT_REPORTED
from tests.unit.runner.interpreter.changes.observing import brief, changes
from tests.unit.runner.interpreter.harness import Interpreter


@pytest.mark.parametrize(("before", "code"), NOT_REPORTED.values(), ids=NOT_REPORTED)
def test_what_is_no_change_is_not_told(plain: Interpreter, before: str, code: str):
    """Not even as something that may have changed."""
    assert brief(changes(plain, before, code)) == ""


@pytest.mark.parametrize(("before", "code"), NUMERIC_NOT_REPORTED.values(), ids=NUMERIC_NOT_REPORTED)
def test_what_is_no_change_to_arrays_and_tables_is_not_told(numeric: Interpreter, before: str, code: str):
    """Likewise, of libraries in C."""
    assert brief(changes(numeric, before, code)) == ""
