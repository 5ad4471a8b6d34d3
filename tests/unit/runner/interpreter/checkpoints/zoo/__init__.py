"""Kinds of state, and what becomes of them."""

from tests.unit.runner.interpreter.checkpoints.zoo.classes import CLASSES
from tests.unit.runner.interpreter.checkpoints.zoo.functions import FUNCTIONS
from tests.unit.runner.interpreter.checkpoints.zoo.lost import LOST
from tests.unit.runner.interpreter.checkpoints.zoo.surroundings import SURROUNDINGS
from tests.unit.runner.interpreter.checkpoints.zoo.values import VALUES

EXACT = {**VALUES, **FUNCTIONS, **CLASSES, **SURROUNDINGS}

__all__ = ["EXACT", "LOST"]
