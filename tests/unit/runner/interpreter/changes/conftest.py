"""Interpreters that serve many cases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.runner.interpreter.harness import Interpreter, Template

_Last = list[Interpreter]


@pytest.fixture(scope="module")
def _plain() -> Iterator[_Last]:
    last: _Last = []
    yield last
    _close(last)


@pytest.fixture(scope="module")
def _numeric() -> Iterator[_Last]:
    last: _Last = []
    yield last
    _close(last)


@pytest.fixture
def plain(_plain: _Last, template: Template, tmp_path_factory: pytest.TempPathFactory) -> Interpreter:
    """An interpreter for all cases of a module, as long as none ends it."""
    return _living(_plain, template, tmp_path_factory)


@pytest.fixture
def numeric(
    _numeric: _Last, rich_template: Template, tmp_path_factory: pytest.TempPathFactory
) -> Interpreter:
    """Another that has pandas preloaded."""
    return _living(_numeric, rich_template, tmp_path_factory)


def _living(last: _Last, template: Template, paths: pytest.TempPathFactory) -> Interpreter:
    if last and last[0].status is not None:
        _close(last)
    if not last:
        last.append(Interpreter(template, paths.mktemp("workspace")))
    return last[0]


def _close(last: _Last) -> None:
    while last:
        last.pop().close()
