"""One interpreter for many cases: each begins with no names of the user's."""

from __future__ import annotations

from tests.unit.runner.interpreter.harness import Done, Interpreter

SIGNS = {1: "+", 2: "~", 3: "-"}
_FORGET = """
import sys as _
_.settrace(None)
for _ in [name for name in globals() if not (name.startswith('__') and name.endswith('__')) and name != '_']:
    del globals()[_]
"""
COULD_NOT = "could not be compared"


def execute(interpreter: Interpreter, code: str, *, report: bool, **options: object) -> Done:
    """Run code that must not fail."""
    interpreter.start(code, report_changes=report, **options)
    done = interpreter.finish()
    assert done.ok, done.error["traceback_text"]
    return done


def forget(interpreter: Interpreter) -> None:
    """Delete all names of the user's."""
    execute(interpreter, _FORGET, report=False)


def changes(interpreter: Interpreter, before: str, code: str, **options: object) -> list[dict]:
    """Return the changes that an operation reports in a namespace that has only what the code ``before`` makes."""
    forget(interpreter)
    execute(interpreter, before, report=False)
    header = execute(interpreter, code, report=True, **options).header
    assert not header["changes_truncated"]
    return header["changes"]


def brief(found: list[dict]) -> str:
    """Return the signs and names of changes."""
    return " ".join(SIGNS[change["kind"]] + change["name"] for change in found)


def not_compared(found: list[dict]) -> dict[str, str]:
    """Return the names that are told because nobody knows, with the reasons."""
    return {change["name"]: change["detail"] for change in found if COULD_NOT in change["detail"]}
