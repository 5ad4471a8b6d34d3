"""What is told of a change besides its name. Nothing of the user's is called: there is nobody to end it."""

from __future__ import annotations

import datetime
import decimal
import sys
from typing import Any, Final

from sandbank_runner.interpreter.changes import atoms, code
from sandbank_runner.interpreter.changes.limits import DETAIL_CHARACTERS
from sandbank_runner.interpreter.changes.pointers import Pointers
from sandbank_runner.interpreter.changes.tracker import Difference
from sandbank_runner.interpreter.changes.walk import GONE
from sandbank_runner.interpreter.reading.kinds import Facts, facts, genuine, identity, type_name
from sandbank_runner.interpreter.reading.previews import cut, preview
from sandbank_runner.interpreter.reading.sizes import Sizes
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_repr = repr
_modules = sys.modules
_size_of_atom = sys.getsizeof
_SAFE: Final = frozenset(map(identity, (datetime.date, datetime.timedelta, decimal.Decimal)))
"""Types of the standard library whose ``repr`` is short and asks nobody."""
_EXTENT: Final = (("numpy", "ndarray"), ("pandas", "DataFrame"), ("pandas", "Series"), ("pyarrow", "Table"))


class Describer:
    """Describes the variables of one namespace."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._sizes: Sizes | None = None
        self._modules = Pointers.of([])

    def describe(self, difference: Difference, characters: int) -> dict[str, Any]:
        """Return a change as ``done`` tells it."""
        name, before, after = difference.name, difference.before, difference.after
        told: dict[str, Any] = {
            "name": name,
            "kind": int(difference.kind),
            "type_name": "",
            "size_bytes": 0,
            "serializable": False,
            "preview": "",
            "previous_type_name": "" if before is None else before.type,
            "detail": cut(difference.detail, DETAIL_CHARACTERS),
        }
        if after is not None:
            value = self._names[name]
            told["type_name"] = type_name(value)
            told["serializable"] = not after.lost
            if after.unsure != GONE:  # libraries look into their memory to say its size
                told["size_bytes"] = _guarded(self._size_of, value, 0)
            told["preview"] = _guarded(lambda each: preview(each, characters, _brief), value, "")
        return told

    def _size_of(self, value: Any) -> int:
        if identity(type(value)) in atoms.KINDS:
            return _size_of_atom(value)
        modules = list(_modules.values())  # whose contents belong to nobody
        sizes = self._sizes
        if sizes is None or not self._modules.match(modules):
            sizes = self._sizes = Sizes(self._names)
            self._modules = Pointers.of(modules)
        return sizes.of(value)


def _guarded(function: Any, value: Any, otherwise: Any) -> Any:
    try:
        return function(value)
    except Exception:  # an audit hook of the user's, a library that the user has changed
        return otherwise


def _brief(value: Any) -> str:
    """Return the text of a value whose ``repr`` is somebody's code."""
    kind = type(value)
    if identity(kind) in _SAFE:
        return _repr(value)
    name = code.qualname_of(kind)
    for module, known in _EXTENT:
        if kind is genuine(module, known):
            found: Facts = facts(value)
            extent = "×".join(map(str, found.shape)) if found.shape else "()"
            return f"<{name} {extent} {found.dtype}>" if found.dtype else f"<{name} {extent}>"
    return f"<{name} object>"
