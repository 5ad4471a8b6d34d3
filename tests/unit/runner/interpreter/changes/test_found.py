"""What a report must say: what a deep comparison of the namespace before and after would."""

from __future__ import annotations

import pytest

from tests.unit.runner.interpreter.changes.cases import FOUND, NUMERIC_FOUND
from tests.unit.runner.interpreter.changes.observing import brief, changes, not_compared
from tests.unit.runner.interpreter.harness import Interpreter


@pytest.mark.parametrize(("before", "code", "expected"), FOUND.values(), ids=FOUND)
def test_what_changed_is_told(plain: Interpreter, before: str, code: str, expected: str):
    """All of it, and nothing else; and it is known, not guessed."""
    found = changes(plain, before, code)
    assert brief(found) == expected
    assert not not_compared(found)


@pytest.mark.parametrize(("before", "code", "expected"), NUMERIC_FOUND.values(), ids=NUMERIC_FOUND)
def test_what_changed_in_arrays_and_tables_is_told(
    numeric: Interpreter, before: str, code: str, expected: str
):
    """Likewise, of libraries in C."""
    found = changes(numeric, before, code)
    assert brief(found) == expected
    assert not not_compared(found)
