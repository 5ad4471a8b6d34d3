"""A full deep comparison of namespaces, written down the plain way: the oracle of the fuzz test.

It runs the same programs as the session, in this process, and knows only the types that those make.
"""

from __future__ import annotations

import functools
import types
from array import array
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any

_ATOMS = (type(None), bool, int, float, str, bytes)


class Form:
    """What one variable leads to: equal where the values are; ``ids`` are those of the mutable objects in it."""

    def __init__(self, value: Any) -> None:
        self.ids: list[int] = []
        self.alive: list[Any] = []
        self._seen: dict[int, int] = {}
        self.form = self._of(value)

    def _of(self, value: Any) -> Any:
        kind = type(value)
        if kind in _ATOMS:
            return kind.__name__, value.hex() if kind is float else value
        if kind is tuple:
            return "tuple", self._all(value)
        if id(value) in self._seen:
            return "again", self._seen[id(value)]
        self._seen[id(value)] = len(self._seen)
        self.alive.append(value)
        found = self._of_code(value, kind)
        if found is not None:
            return found
        self.ids.append(id(value))
        if kind in (dict, OrderedDict):
            return kind.__name__, [[self._of(key), self._of(part)] for key, part in value.items()]
        if kind is deque:
            return "deque", value.maxlen, self._all(value)
        if kind is set:
            return "set", sorted(repr(Form(each).form) for each in value)
        if kind is memoryview:
            self.ids.append(id(value.obj))
        if kind in (bytearray, array, memoryview):
            return kind.__name__, value.typecode if kind is array else "", bytes(value)
        return ("list", self._all(value)) if kind is list else self._of_instance(value, kind)

    def _of_code(self, value: Any, kind: Any) -> Any:
        """Return the form of what may be shared or not: only its cells matter."""
        if kind is functools.partial:
            return "partial", self._all([value.func, value.args, value.keywords, vars(value) or None])
        if kind is types.BuiltinFunctionType:
            return "builtin", value.__qualname__
        if kind is types.FunctionType:
            parts = self._all([value.__defaults__])
            cells = [self._cell(each) for each in value.__closure__ or ()]
            return "function", value.__code__.co_code, parts, cells, self._of(vars(value) or None)
        if isinstance(value, type):
            return "class", [[name, self._of(part)] for name, part in vars(value).items() if name == "total"]
        return None

    def _of_instance(self, value: Any, kind: Any) -> Any:
        slots = [name for name in ("x", "y") if "__slots__" in vars(kind) and hasattr(value, name)]
        attributes = getattr(value, "__dict__", {})
        return (
            kind.__name__,
            [[name, self._of(getattr(value, name))] for name in slots],
            [[name, self._of(part)] for name, part in attributes.items()],
        )

    def _all(self, parts: Iterable[Any]) -> list[Any]:
        return [self._of(part) for part in parts]

    def _cell(self, cell: Any) -> Any:
        if id(cell) in self._seen:
            return "again", self._seen[id(cell)]
        self._seen[id(cell)] = len(self._seen)
        self.ids.append(id(cell))
        self.alive.append(cell)
        return "cell", self._of(cell.cell_contents)


def forms(names: dict[str, Any]) -> dict[str, Form]:
    """Write variables down."""
    return {name: Form(value) for name, value in names.items()}


def difference(before: dict[str, Form], after: dict[str, Form]) -> str:
    """Return what is different, with signs, by name."""
    found = []
    for name in sorted({*before, *after}):
        if name not in before:
            found.append("+" + name)
        elif name not in after:
            found.append("-" + name)
        elif before[name].form != after[name].form or _is_shared_otherwise(name, before, after):
            found.append("~" + name)
    return " ".join(found)


def _is_shared_otherwise(name: str, before: dict[str, Form], after: dict[str, Form]) -> bool:
    """Tell whether a name leads to other objects than before, which others share otherwise than those."""
    return any(
        one != other and _sharers(one, name, before) != _sharers(other, name, after)
        for one, other in zip(before[name].ids, after[name].ids, strict=True)
    )


def _sharers(number: int, name: str, states: dict[str, Form]) -> set[tuple[str, int]]:
    return {
        (other, place)
        for other, state in states.items()
        for place, each in enumerate(state.ids)
        if each == number and other != name
    }
