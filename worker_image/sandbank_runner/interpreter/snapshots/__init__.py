"""Snapshots: sleeping copies of the interpreter, made by a fork between two operations, one of which may take over."""

from sandbank_runner.interpreter.snapshots.taking import Snapshots

__all__ = ["Snapshots"]
