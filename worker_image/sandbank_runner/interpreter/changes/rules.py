"""Which rule writes down the instances of which type."""

from __future__ import annotations

import pathlib
import sys
import types
from typing import Any, Final

from sandbank_runner.interpreter.changes import (
    arrays,
    code,
    containers,
    foreign,
    instances,
    numpy_rules,
    standard,
    tables,
)
from sandbank_runner.interpreter.changes.walk import MUTABLE, PLAIN, SHARED, Entry, Rule
from sandbank_runner.interpreter.reading.kinds import derives, genuine, identity
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_FIXED: Final[dict[int, Entry]] = {
    identity(kind): entry
    for kind, entry in (
        *containers.ENTRIES,
        *code.ENTRIES,
        *arrays.ENTRIES,
        *foreign.ENTRIES,
        *standard.ENTRIES,
    )
}
"""Types that live for ever."""
_BASES: Final[tuple[tuple[Any, Rule], ...]] = (
    *instances.BASES,
    *arrays.BASES,
    *((base, rule) for base, (rule, _) in foreign.BASES),
)
_LIBRARIES: Final = frozenset(["matplotlib", "numpy", "pandas", "pyarrow", "scipy", "sklearn"])
"""Packages whose own reductions are called: their classes extend what they have in C."""
_PATH_CACHES: Final = frozenset([
    "_hash", "_pparts", "_cached_cparts", "_str", "_str_normcase_cached", "_parts_normcase_cached", "_lines_cached",
    "_tail_cached", *(("_drv", "_root") if "_raw_paths" in getattr(pathlib.PurePath, "__slots__", ()) else ()),
])  # fmt: skip
_modules = sys.modules


def fresh() -> dict[int, Entry]:
    """Return the rules for builtin types, for a report to add those of the types that it meets."""
    return dict(_FIXED)


def entry_of(kind: Any) -> Entry:
    """Return the rule for any other type."""
    if code.is_class(kind):
        return code.a_class, SHARED
    return _library_entry(kind) or _python_entry(kind)


def _library_entry(kind: Any) -> Entry | None:
    """Return the rule for a type that we know, or that extends one."""
    found = numpy_rules.numpy_rule(kind)
    if found is not None:
        rule, sharing = found
        return (instances.entry_of(kind, rule)[0], sharing) if instances.is_python(kind) else found
    found = tables.pandas_rule(kind) or _arrow_rule(kind)
    if found is None and derives(kind, pathlib.PurePath):
        return instances.entry_of(kind, None, _PATH_CACHES)[0], PLAIN
    return found


def _python_entry(kind: Any) -> Entry:
    """Return the rule for a type by what C code has made of it."""
    base = instances.solid_base(kind)
    if base is object or base is types.SimpleNamespace:
        return instances.entry_of(kind, None)
    for known, rule in _BASES:
        if derives(base, known):
            return instances.entry_of(kind, rule)
    if base is kind:
        return foreign.entry_of(kind)
    if code.module_of(base).partition(".")[0] == "_ctypes":
        return instances.entry_of(kind, arrays.a_c_value)
    if is_of_library(kind):
        return foreign.a_reduced, MUTABLE
    return instances.entry_of(kind, foreign.an_opaque)


def _arrow_rule(kind: Any) -> Entry | None:
    return (arrays.an_arrow_buffer, PLAIN) if kind is genuine("pyarrow", "Buffer") else None


def is_of_library(kind: Any) -> bool:
    """Tell whether a class is one of a known library's: not only by what it says, for it is in the module, too."""
    return code.module_of(kind).partition(".")[0] in _LIBRARIES and is_of_module(kind)


def is_of_module(kind: Any) -> bool:
    """Tell whether a class is in the module that it says it is of, and so lives as long as that, as a rule."""
    found = _modules.get(code.module_of(kind))
    if not issubclass(type(found), types.ModuleType):
        return False
    return code.namespace_of(found).get(code.qualname_of(kind)) is kind
