"""Runs the code objects of a cell: statements, then the last expression."""

from __future__ import annotations

from collections.abc import Coroutine
from types import CodeType
from typing import Any

from sandbank_runner.interpreter.sealed import seal

seal(globals())

_eval = eval
_IS_COROUTINE = 0x80  # inspect.CO_COROUTINE


def awaits(statements: CodeType | None, expression: CodeType | None) -> bool:
    """Tell whether one of them awaits at its top level."""
    return any(code is not None and code.co_flags & _IS_COROUTINE for code in (statements, expression))


def evaluate(statements: CodeType | None, expression: CodeType | None, names: dict[str, Any]) -> Any:
    """Run what does not await; return the expression's value."""
    if statements is not None:
        _eval(statements, names)
    return None if expression is None else _eval(expression, names)


async def evaluate_awaiting(
    statements: CodeType | None, expression: CodeType | None, names: dict[str, Any]
) -> Any:
    """Run what awaits; return the expression's value."""
    value = None
    for code in (statements, expression):
        if code is not None:
            value = _eval(code, names)
            if isinstance(value, Coroutine) and code.co_flags & _IS_COROUTINE:
                value = await value
    return None if expression is None else value
