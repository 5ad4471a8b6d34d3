"""The keys of a value, and how they are written."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from sandbank_runner.interpreter.inspecting.attributes import MISSING, Made, has_method
from sandbank_runner.interpreter.inspecting.budget import Budget
from sandbank_runner.interpreter.inspecting.places import Place
from sandbank_runner.interpreter.reading.kinds import genuine
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_KEYS: Final = 200_000
"""Keys of one object that are looked at."""
_METHODS: Final = ("_ipython_key_completions_", "keys")
_repr = repr


def known_keys(value: Any, budget: Budget) -> list[Any]:
    """Return keys of a dictionary, of a structured array, of what says which it has."""
    if value is MISSING or type(value) is Made:
        return []
    if issubclass(type(value), dict):
        return list(islice(dict.__iter__(value), _KEYS))
    array = genuine("numpy", "ndarray")
    if type(value) is array and value.dtype.names:
        return list(value.dtype.names)
    for method in _METHODS:
        if has_method(value, method):
            found: list[Any] = budget.call(_listed, value, method, otherwise=[])
            return found
    return []


def between_quotes(key: str, place: Place) -> str | None:
    """Return a key as it stands between the quotes that were begun; None where it cannot."""
    quote = place.quote[0]
    if place.raw:
        return key if key.isprintable() and "\\" not in key and quote not in key else None
    pieces = []
    for character in key:
        if character in (quote, "\\"):
            pieces.append("\\" + character)
        else:
            pieces.append(character if character.isprintable() else _repr(character)[1:-1])
    return "".join(pieces)


def ending(quote: str, after: str) -> str:
    """Return what ends a key, but for what is there already."""
    if quote and after.startswith(quote):
        return ""
    return quote if after.startswith("]") else quote + "]"


def _listed(value: Any, method: str) -> list[Any]:
    return list(islice(iter(getattr(value, method)()), _KEYS))
