"""What the template knows of the modules that it has preloaded, so that no writer need look at all of them.

A writer is a fork: to look at an object is to copy the page that it lies on.
"""

from __future__ import annotations

import sys
import types
from typing import Any, Final

from sandbank_runner.interpreter.checkpoints.edges import COLUMNS, OTHER, Kinds
from sandbank_runner.interpreter.reading.kinds import identity
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_modules = sys.modules
_Module = types.ModuleType
_module_names: Any = vars(types.ModuleType)["__dict__"].__get__
_OWN: Final = frozenset([*sys.stdlib_module_names, "__main__", "sandbank_runner", "sandbank"])
_CHARACTERS: Final = 100
_SINGLE: Final = frozenset([OTHER, COLUMNS])


class _Known:
    """What was found in the modules of ``names``."""

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()
        self.packages: dict[str, str] = {}
        self.objects: dict[int, Any] = {}
        """By identity. They are kept, or another object could come to that."""


_known = _Known()


def remember() -> None:
    """Look at all modules that there are. For the template, before it forks."""
    _known.packages = packages()
    _known.objects = objects({})
    _known.names = frozenset(name for name in _modules if type(name) is str)


def packages() -> dict[str, str]:
    """Return the version of each package that has one and is imported, as far as it says it."""
    found = {name: version for name, version in _known.packages.items() if name in _modules}
    for name, module in _others():
        if type(name) is not str or "." in name or name in _OWN:
            continue
        version = _module_names(module).get("__version__")
        if type(version) is str:
            found[name] = version[:_CHARACTERS]
    return found


def objects(session: dict[str, Any]) -> dict[int, Any]:
    """Return the objects, by identity, that a module has by a name, if they are neither plain nor definitions.

    ``session`` is the namespace that does not count.
    """
    found = dict(_known.objects)
    kinds = Kinds()
    for _, module in _others():
        names = _module_names(module)
        if names is not session:  # multiprocessing gives __main__ another name, too
            for value in list(names.values()):
                if kinds.of(value) in _SINGLE:
                    found[identity(value)] = value
    return found


def _others() -> list[tuple[Any, Any]]:
    known = _known.names
    return [
        (name, _modules[name]) for name in list(_modules)
        if name not in known and issubclass(type(_modules.get(name)), _Module)
    ]  # fmt: skip
