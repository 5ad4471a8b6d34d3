"""Interpreters for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.runner.interpreter.harness import Interpreter, Template


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    """A template process for all tests of a run."""
    directory = tmp_path_factory.mktemp("template")
    # As the real template's environment: numeric libraries that start no threads, and caches that can be written.
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    process = Template(
        {"TMPDIR": str(directory), "MPLCONFIGDIR": str(directory / "matplotlib"), **one_thread}
    )
    yield process
    process.close()


@pytest.fixture
def start(template: Template, tmp_path: Path) -> Iterator[Callable[..., Interpreter]]:
    """Start interpreters with a workspace of their own; they end with the test."""
    started: list[Interpreter] = []

    def start(**settings: Any) -> Interpreter:
        workspace = tmp_path / f"workspace-{len(started)}"
        workspace.mkdir()
        started.append(Interpreter(template, workspace, **settings))
        return started[-1]

    yield start
    for interpreter in started:
        interpreter.close()


@pytest.fixture
def interpreter(start: Callable[..., Interpreter]) -> Interpreter:
    """One fresh interpreter."""
    return start()
