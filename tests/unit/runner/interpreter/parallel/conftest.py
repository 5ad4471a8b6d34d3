"""Operations beside each other for tests."""

from __future__ import annotations

import pytest

from tests.unit.runner.interpreter.harness import Interpreter
from tests.unit.runner.interpreter.parallel.harness import Beside


@pytest.fixture
def beside(interpreter: Interpreter) -> Beside:
    """One fresh interpreter, for namespace operations."""
    return Beside(interpreter)


@pytest.fixture
def rich_beside(rich: Interpreter) -> Beside:
    """The same, with IPython, pandas and Matplotlib preloaded."""
    return Beside(rich)
