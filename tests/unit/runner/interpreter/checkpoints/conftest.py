"""Checkpoints for tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.runner.interpreter.checkpoints.plane import Plane
from tests.unit.runner.interpreter.harness import Interpreter


@pytest.fixture
def plane() -> Plane:
    """An empty store."""
    return Plane()


@pytest.fixture
def transfer(plane: Plane, start: Callable[..., Interpreter]) -> Callable[[Interpreter], Interpreter]:
    """Carry the state of an interpreter to a fresh one; nothing may be lost on the way."""

    def transfer(source: Interpreter) -> Interpreter:
        manifest = plane.checkpoint(source)
        assert not manifest.lost
        target = start(source.template)
        loaded = plane.load(target, manifest)
        assert loaded.ok, loaded
        assert not loaded.lost
        return target

    return transfer
