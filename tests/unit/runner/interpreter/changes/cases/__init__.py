"""What code does to a session's variables, and what a report must say of it.

``FOUND``: (code before, the operation, its changes): names with ``+`` added, ``~`` modified, ``-`` removed, sorted by
name. ``NOT_REPORTED``: (code before, the operation).
"""

from __future__ import annotations

from typing import Final

from tests.unit.runner.interpreter.changes.cases import (
    classes,
    containers,
    functions,
    instances,
    library,
    memory,
    names,
    numeric,
    tables,
    values,
)

_PLAIN: Final = (names, values, containers, instances, classes, functions, library, memory)
_NUMERIC: Final = (numeric, tables)

FOUND: Final = {name: case for part in _PLAIN for name, case in part.FOUND.items()}
NOT_REPORTED: Final = {name: case for part in _PLAIN for name, case in part.NOT_REPORTED.items()}
NUMERIC_FOUND: Final = {name: case for part in _NUMERIC for name, case in part.FOUND.items()}
NUMERIC_NOT_REPORTED: Final = {name: case for part in _NUMERIC for name, case in part.NOT_REPORTED.items()}

assert len(FOUND) == sum(len(part.FOUND) for part in _PLAIN)
assert len(NOT_REPORTED) == sum(len(part.NOT_REPORTED) for part in _PLAIN)
