"""Sandboxes for the attacks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.sandbox import Sandbox, running


@pytest.fixture(scope="module")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One container for a module's tests: whatever one of them does, it serves the next."""
    with running(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Iterator[Sandbox]:
    """The module's container, with a fresh interpreter and an empty workspace; it must serve afterwards."""
    shared_sandbox.reset()
    yield shared_sandbox
    shared_sandbox.still_serves()


@pytest.fixture
def own_sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A container for one test alone."""
    with running(tmp_path) as sandbox:
        yield sandbox
        sandbox.still_serves()
