"""Modules that could be imported, found without importing any."""

from __future__ import annotations

import importlib.machinery
import os
import sys
import types
from collections.abc import Iterator
from typing import Any, Final

from sandbank_runner.interpreter.sealed import seal

seal(globals())

_ENTRIES: Final = 20_000
"""Entries of one directory that are looked at."""
_SUFFIXES: Final = tuple(sorted(importlib.machinery.all_suffixes(), key=len, reverse=True))
_find_spec = importlib.machinery.PathFinder.find_spec
_scandir, _exists, _join = os.scandir, os.path.exists, os.path.join
_modules = sys.modules
_module_names: Any = vars(types.ModuleType)["__dict__"].__get__


def modules_in(package: str, prefix: str, *, trusting: bool = True) -> list[str]:
    """Return the names of modules that begin with ``prefix``, in a package or, where that is "", at the top.

    Unless ``trusting`` no code of the user's is run: of packages only those that were imported have directories.
    """
    found: set[str] = set()
    beginning = f"{package}.{prefix}" if package else prefix
    skip = len(package) + 1 if package else 0
    for name in list(_modules):
        if type(name) is str and name.startswith(beginning):
            found.add(name[skip:].partition(".")[0])
    if not package:
        found.update(name for name in sys.builtin_module_names if name.startswith(prefix))
    for path in _paths_of(package, trusting) if package else list(sys.path):
        if type(path) is str:
            found.update(_in_directory(path or ".", prefix))
    return sorted(
        name for name in found if name.isidentifier() and (prefix.startswith("_") or name[0] != "_")
    )


def loaded(name: str) -> Any:
    """Return a module that has been imported; None where it has not."""
    found = _modules.get(name)
    return found if issubclass(type(found), types.ModuleType) else None


def _paths_of(package: str, trusting: bool) -> list[Any]:
    """Return the directories of a package; [] where there are none."""
    module = loaded(package)
    if module is not None:
        paths = _module_names(module).get("__path__")
        return list(paths or ()) if trusting or type(paths) is list else []
    if not trusting:
        return []
    parent, _, _ = package.rpartition(".")
    spec = _find_spec(package, _paths_of(parent, trusting) if parent else None)
    return list(spec.submodule_search_locations or ()) if spec is not None else []


def _in_directory(path: str, prefix: str) -> Iterator[str]:
    try:
        entries = _scandir(path)
    except OSError:  # not there, or an archive
        return
    with entries:
        for count, entry in enumerate(entries):
            if count >= _ENTRIES:
                return
            name = entry.name
            if not name.startswith(prefix):
                continue
            for suffix in _SUFFIXES:
                if name.endswith(suffix):
                    yield name[: -len(suffix)]
                    break
            else:
                if name.isidentifier() and _exists(_join(path, name, "__init__.py")):
                    yield name
