"""Interpreters that serve many cases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.runner.interpreter.harness import Interpreter, Template


@pytest.fixture(scope="module")
def plain(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interpreter]:
    """An interpreter for all cases of a module."""
    interpreter = Interpreter(template, tmp_path_factory.mktemp("workspace"))
    yield interpreter
    interpreter.close()


@pytest.fixture(scope="module")
def numeric(rich_template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interpreter]:
    """Another that has pandas preloaded."""
    interpreter = Interpreter(rich_template, tmp_path_factory.mktemp("workspace"))
    yield interpreter
    interpreter.close()
