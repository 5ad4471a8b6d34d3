"""Interpreters for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.runner.interpreter.harness import Interpreter, Template

PRELOADED = (
    "IPython",
    "IPython.core.magics",
    "pandas",
    "matplotlib.pyplot",
    "matplotlib.backends.backend_agg",
)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    """A template process for all tests of a run."""
    process = Template(environment(tmp_path_factory.mktemp("template")))
    yield process
    process.close()


@pytest.fixture(scope="session")
def rich_template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    """Another that has preloaded what its interpreters then need not import."""
    process = Template(environment(tmp_path_factory.mktemp("template")), PRELOADED)
    yield process
    process.close()


@pytest.fixture
def start(template: Template, tmp_path: Path) -> Iterator[Callable[..., Interpreter]]:
    """Start interpreters with a workspace of their own; they end with the test."""
    started: list[Interpreter] = []

    def start(origin: Template = template, **settings: Any) -> Interpreter:
        workspace = settings.pop("workspace", None) or tmp_path / f"workspace-{len(started)}"
        workspace.mkdir(exist_ok=True)
        started.append(Interpreter(origin, workspace, **settings))
        return started[-1]

    yield start
    for interpreter in started:
        interpreter.close()


@pytest.fixture
def interpreter(start: Callable[..., Interpreter]) -> Interpreter:
    """One fresh interpreter."""
    return start()


@pytest.fixture
def rich(start: Callable[..., Interpreter], rich_template: Template) -> Interpreter:
    """One fresh interpreter of a template with IPython, pandas and Matplotlib preloaded."""
    return start(rich_template)


def environment(directory: Path) -> dict[str, str]:
    """As the real template's: numeric libraries that start no threads, and caches that can be written."""
    one_thread = dict.fromkeys(["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"], "1")
    one_thread["JE_ARROW_MALLOC_CONF"] = "background_thread:false"
    return {"TMPDIR": str(directory), "MPLCONFIGDIR": str(directory / "matplotlib"), **one_thread}
