"""Questions about a place in code, marked by ``|``."""

from __future__ import annotations

from typing import Any

from tests.unit.runner.interpreter.harness import Interpreter
from tests.unit.runner.interpreter.reading.harness import Answer, Reading


def split(marked: str) -> tuple[str, int]:
    """Return code without the mark, and where it was."""
    before, mark, after = marked.partition("|")
    assert mark, marked
    return before + after, len(before)


def ask(interpreter: Interpreter, what: str, marked: str, sleeper: Any = None, **changes: Any) -> Answer:
    """Have one reader say all it has to say."""
    code, cursor = split(marked)
    header = {"what": what, "cursor": cursor, "detail": 0, "characters": 200, "bare": False, **changes}
    return Reading(interpreter, header, sleeper, (code.encode(),)).finish()


def complete(interpreter: Interpreter, marked: str, **changes: Any) -> list[str]:
    """Return the code as each match would make it, up to the cursor."""
    code, cursor = split(marked)
    last = ask(interpreter, "complete", marked, **changes).last
    assert last["end"] == cursor
    assert 0 <= last["start"] <= cursor
    return [code[: last["start"]] + text for text, _, _ in last["matches"]]


def matches(interpreter: Interpreter, marked: str, **changes: Any) -> dict[str, tuple[str, str]]:
    """Return kind and signature by text."""
    last = ask(interpreter, "complete", marked, **changes).last
    return {text: (kind, signature) for text, kind, signature in last["matches"]}


def inspect(interpreter: Interpreter, marked: str, **changes: Any) -> dict[str, bytes]:
    """Return the description by MIME type, {} where there is none."""
    answer = ask(interpreter, "inspect", marked, **changes)
    found = dict(zip(answer.last["mime"], answer.blobs, strict=True))
    assert answer.last["found"] == bool(found)
    return found
