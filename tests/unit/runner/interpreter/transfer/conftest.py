"""Interpreters that can sleep, and a store of checkpoints, for tests of imports and exports."""

from tests.unit.runner.interpreter.checkpoints.conftest import plane
from tests.unit.runner.interpreter.snapshots.conftest import timeline

__all__ = ["plane", "timeline"]
