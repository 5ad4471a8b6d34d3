"""Answering an interpreter's questions as the supervisor does."""

from __future__ import annotations

from typing import Any

from tests.unit.runner.interpreter.harness import Done, Interpreter


def question(interpreter: Interpreter) -> dict[str, Any]:
    """Wait for the next question."""
    header: dict[str, Any] = interpreter.receive("input_request").header
    assert set(header) == {"type", "operation", "input_id", "prompt", "password"}
    return header


def answer(interpreter: Interpreter, asked: dict[str, Any], text: str | None) -> None:
    """Answer a question; None is the end of file."""
    interpreter.send(
        {"type": "input", "operation": asked["operation"], "input_id": asked["input_id"], "text": text}
    )


def converse(interpreter: Interpreter, code: str, *answers: str | None) -> Done:
    """Run code that asks exactly so often, give it the answers, and return its end; the prompts go into `prompts`."""
    interpreter.start(code, allow_input=True)
    for text in answers:
        answer(interpreter, question(interpreter), text)
    return interpreter.finish()
