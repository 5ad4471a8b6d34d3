"""Kinds of state, and what becomes of them."""

from tests.unit.runner.interpreter.checkpoints.zoo.classes import CLASSES
from tests.unit.runner.interpreter.checkpoints.zoo.data_lost import DATA_LOST
from tests.unit.runner.interpreter.checkpoints.zoo.functions import FUNCTIONS
from tests.unit.runner.interpreter.checkpoints.zoo.learned import LEARNED
from tests.unit.runner.interpreter.checkpoints.zoo.lost import LOST
from tests.unit.runner.interpreter.checkpoints.zoo.not_kept import NOT_KEPT
from tests.unit.runner.interpreter.checkpoints.zoo.numeric import NUMERIC
from tests.unit.runner.interpreter.checkpoints.zoo.plots import PLOTS
from tests.unit.runner.interpreter.checkpoints.zoo.surroundings import SURROUNDINGS
from tests.unit.runner.interpreter.checkpoints.zoo.tables import TABLES
from tests.unit.runner.interpreter.checkpoints.zoo.values import VALUES

EXACT = {**VALUES, **FUNCTIONS, **CLASSES, **SURROUNDINGS}
DATA = {**NUMERIC, **TABLES, **LEARNED, **PLOTS}
"""Exact too; these need the data libraries."""

__all__ = ["DATA", "DATA_LOST", "EXACT", "LOST", "NOT_KEPT"]
