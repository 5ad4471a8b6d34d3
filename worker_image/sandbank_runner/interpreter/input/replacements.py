"""``input`` and ``getpass.getpass`` as user code calls them: the prompt goes into the question, not to a terminal."""

from __future__ import annotations

import builtins
import sys
from types import ModuleType
from typing import Any

from sandbank_runner.interpreter import after_import
from sandbank_runner.interpreter.input.questions import Asker, Questions
from sandbank_runner.interpreter.input.stream import Stdin
from sandbank_runner.interpreter.sealed import provide, seal

seal(globals())

_input = builtins.input


def install(questions: Questions) -> None:
    """Put them in the place of the original ones."""

    def input(prompt: object = "", /) -> str:  # noqa: A001 - that is its name
        """Ask for a line and return it without its end. EOFError where there is no more, or nobody to ask."""
        asker = _asker(questions)
        if asker is None:
            return _input(prompt)
        if asker.typed:
            return asker.typed.take_text_line().removesuffix("\n")
        return _answer(questions, asker, prompt, password=False)

    input.__module__, input.__qualname__ = "builtins", "input"
    provide("input", input)

    def replace(module: ModuleType) -> None:
        original = module.getpass

        def getpass(prompt: str = "Password: ", stream: Any = None, **options: Any) -> str:
            """Ask for a line that is not shown. EOFError where there is no more, or nobody to ask."""
            if not isinstance(sys.stdin, Stdin):
                return str(original(prompt, stream, **options))
            asker = _asker(questions)
            if asker is None:
                raise EOFError("this operation may not ask for input")
            return _answer(questions, asker, prompt, password=True)

        getpass.__module__, getpass.__qualname__ = "getpass", "getpass"
        module.getpass = getpass  # type: ignore[attr-defined]

    known = sys.modules.get("getpass")
    if known is None:
        after_import.call("getpass", replace)
    else:
        replace(known)


def _asker(questions: Questions) -> Asker | None:
    """Return who asks; None also where user code reads from a stream of its own."""
    stream = sys.stdin
    return questions.asker() if isinstance(stream, Stdin) and not stream.closed else None


def _answer(questions: Questions, asker: Asker, prompt: object, *, password: bool) -> str:
    text = questions.ask(asker, str(prompt), password=password)
    if text is None:
        raise EOFError("EOF when reading a line")
    return text
