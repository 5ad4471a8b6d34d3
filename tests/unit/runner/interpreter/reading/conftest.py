"""Interpreters that can sleep, for tests of reads."""

from tests.unit.runner.interpreter.snapshots.conftest import timeline

__all__ = ["timeline"]
