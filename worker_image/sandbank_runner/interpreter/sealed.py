"""A private copy of the builtins, for the runner's own functions.

A function finds its builtins through the ``__builtins__`` of the module that it was defined in. A module that calls
:func:`seal` before it defines any therefore goes on working when user code replaces ``builtins.len`` or empties the
module. The standard library has no such protection: where the runner calls it with something at stake, it puts the
builtins back for the moment (:func:`put_back`).
"""

from __future__ import annotations

import builtins
from typing import Any

_living: dict[str, Any] = vars(builtins)
_pristine = dict(_living)


def seal(module: dict[str, Any]) -> None:
    """Give the functions that will be defined in a module, whose ``globals()`` these are, builtins of their own."""
    module["__builtins__"] = _pristine


seal(globals())


def provide(name: str, value: object) -> None:
    """Put something of the session's in the place of a builtin: from now on that is the original."""
    _pristine[name] = _living[name] = value


def put_back() -> dict[str, Any] | None:
    """Put the original builtins back; return what user code had made of them, or None where nothing was changed."""
    for name, value in _pristine.items():
        if _living.get(name) is not value:
            break
    else:
        return None
    changed = dict(_living)
    _living.update(_pristine)
    return changed


def give_back(changed: dict[str, Any] | None) -> None:
    """Undo :func:`put_back`: what user code does to its builtins is its own affair."""
    if changed is None:
        return
    for name in [name for name in _living if name not in changed]:
        del _living[name]
    _living.update(changed)
