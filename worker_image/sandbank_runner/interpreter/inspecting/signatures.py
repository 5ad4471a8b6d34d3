"""How something is called: by ``inspect.signature``, which asks code of the user's where there is some."""

from __future__ import annotations

import inspect
from typing import Any, Final

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.text import sendable

seal(globals())

_CHARACTERS: Final = 500
_signature = inspect.signature
_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def signature_text(value: Any) -> str:
    """Return ``(parameters) -> result``. Raises where there is no telling."""
    text = sendable(str(_signature(value)))
    return text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1] + "…"


def keyword_names(value: Any) -> list[str]:
    """Return the names by which arguments can be given. Raises where there is no telling."""
    return [name for name, parameter in _signature(value).parameters.items() if parameter.kind in _NAMED]
