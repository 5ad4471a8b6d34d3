"""What belongs to a session's state beside variables and files: told as JSON, and put back.

Each part is for itself: one that cannot be had is left out; one that cannot be put back leaves what a fresh process
has.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from typing import Any, Final

from sandbank_runner.interpreter.checkpoints import options
from sandbank_runner.interpreter.checkpoints.surroundings import Surroundings
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_modules = sys.modules
_getcwd, _chdir, _environ = os.getcwd, os.chdir, os.environ
_getlimit, _setlimit = sys.getrecursionlimit, sys.setrecursionlimit
_ORDERED: Final = 10_000
"""More names than that come back in another order."""
_Pattern = re.Pattern


def collect(surroundings: Surroundings) -> dict[str, Any]:
    """Return all of it."""
    found = {}
    for name, (tell, _) in _PARTS.items():
        try:
            value = tell(surroundings)
        except BaseException:  # noqa: S112 - what user code has made of it
            continue
        if value is not None:
            found[name] = value
    return found


def restore(state: dict[str, Any], surroundings: Surroundings) -> None:
    """Put all of it back but the current directory and where modules are searched."""
    for name, (_, put) in _PARTS.items():
        if name in state:
            try:
                put(state[name], surroundings)
            except BaseException:  # noqa: S112 - a library's other version, a class that is lost
                continue


def directory_of(state: dict[str, Any], workspace: str) -> str:
    """Return the current directory as it is to be, in a workspace that may lie elsewhere for the moment."""
    directory = state.get("directory")
    return os.path.join(workspace, directory) if isinstance(directory, str) else workspace


def _directory(surroundings: Surroundings) -> str | None:
    """Return the current directory, relative where it is in the workspace."""
    here = _getcwd()
    return os.path.relpath(here, surroundings.workspace) if _is_below(here, surroundings.workspace) else here


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")


def _environment(surroundings: Surroundings) -> dict[str, Any] | None:
    start, now = surroundings.environment, dict(_environ)
    changed = {
        name: value
        for name, value in now.items()
        if start.get(name) != value and name not in surroundings.secret
    }
    gone = [name for name in start if name not in now and name not in surroundings.secret]
    return {"set": changed, "unset": gone} if changed or gone else None


def _put_environment(told: Any, _: Surroundings) -> None:
    for name in told["unset"]:
        _environ.pop(name, None)
    _environ.update(told["set"])
    if "TZ" in told["set"] or "TZ" in told["unset"]:
        import time

        time.tzset()


def _path(surroundings: Surroundings) -> dict[str, Any] | None:
    """Return what modules are searched in; places in the workspace as lists, relative to it."""
    now = [entry for entry in sys.path if type(entry) is str]
    if now == surroundings.path:
        return None
    top = surroundings.workspace
    told = [[os.path.relpath(entry, top)] if _is_below(entry, top) else entry for entry in now]
    return {"start": surroundings.path, "now": told}


def search_in(state: dict[str, Any], workspace: str, start: list[str]) -> None:
    """Have modules searched as the state says: what it changed is changed in ``start``, what this process had."""
    told = state.get("path")
    if not isinstance(told, dict):
        return
    wanted = []
    for entry in told["now"]:
        if isinstance(entry, list):
            wanted.append(os.path.normpath(os.path.join(workspace, entry[0])))
        elif entry not in told["start"] or entry in start:
            wanted.append(entry)
    wanted += [entry for entry in start if entry not in told["start"] and entry not in wanted]
    sys.path[:] = wanted


def _random(_: Surroundings) -> list[Any] | None:
    if "random" not in _modules:
        return None
    version, numbers, gauss = _modules["random"].getstate()
    return [version, list(numbers), gauss]


def _put_random(told: Any, _: Surroundings) -> None:
    import random

    version, numbers, gauss = told
    random.setstate((version, tuple(numbers), gauss))


def _numeric_random(_: Surroundings) -> dict[str, Any] | None:
    if "numpy.random" not in _modules:
        return None
    state = _modules["numpy.random"].get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        return None
    return {
        "key": state["state"]["key"].tolist(),
        "pos": int(state["state"]["pos"]),
        "has_gauss": int(state["has_gauss"]),
        "gauss": float(state["gauss"]),
    }


def _put_numeric_random(told: Any, _: Surroundings) -> None:
    import numpy as np

    key = np.array(told["key"], dtype=np.uint32)
    np.random.set_state(("MT19937", key, told["pos"], told["has_gauss"], told["gauss"]))


def _filters(surroundings: Surroundings) -> list[Any] | None:
    now = list(_modules["warnings"].filters)
    if now == surroundings.filters:
        return None
    return [
        [action, _told(message), [category.__module__, category.__qualname__], _told(module), line]
        for action, message, category, module, line in now
    ]


def _told(pattern: Any) -> Any:
    return [pattern.pattern, pattern.flags] if isinstance(pattern, _Pattern) else pattern


def _heard(told: Any) -> Any:
    return re.compile(told[0], told[1]) if isinstance(told, list) else told


def _put_filters(told: Any, surroundings: Surroundings) -> None:
    import importlib
    import warnings

    found: list[Any] = []
    for action, message, (module, name), where, line in told:
        holder: Any = (
            surroundings.namespace.module if module == "__main__" else importlib.import_module(module)
        )
        for part in name.split("."):
            holder = getattr(holder, part)
        found.append((action, _heard(message), holder, _heard(where), line))
    warnings.filters[:] = found  # type: ignore[index]
    getattr(warnings, "_filters_mutated", getattr(warnings, "_filters_mutated_lock_held", list))()


def _recursion(_: Surroundings) -> int | None:
    limit = _getlimit()
    return limit if limit != _START_LIMIT else None


def _put_recursion(told: Any, _: Surroundings) -> None:
    _setlimit(told)


_START_LIMIT: Final = _getlimit()


def _order(surroundings: Surroundings) -> list[str] | None:
    names = [name for name in list(surroundings.namespace.names) if type(name) is str]
    return names if len(names) <= _ORDERED else None


def _put_order(told: Any, surroundings: Surroundings) -> None:
    names = surroundings.namespace.names
    for name in told:
        if name in names:
            names[name] = names.pop(name)


def _leave(_told: Any, _: Surroundings) -> None:
    """Leave it to the loader."""


_Part = tuple[Callable[[Surroundings], Any], Callable[[Any, Surroundings], None]]


def _option(tell: Callable[[], Any], put: Callable[[Any], None]) -> _Part:
    return (
        lambda surroundings: surroundings.run_in_context(tell),
        lambda told, surroundings: surroundings.run_in_context(put, told),
    )


_PARTS: Final[dict[str, _Part]] = {
    "directory": (_directory, _leave),
    "environment": (_environment, _put_environment),
    "path": (_path, _leave),
    "filters": (_filters, _put_filters),
    "recursion_limit": (_recursion, _put_recursion),
    "names": (_order, _put_order),
    "numeric": _option(options.numeric, options.put_numeric),
    "tables": _option(options.tables, options.put_tables),
    "plots": _option(options.plots, options.put_plots),
    "random": (_random, _put_random),
    "numeric_random": (_numeric_random, _put_numeric_random),
}
"""In the order in which they are put back: imports on the way may draw random numbers."""
