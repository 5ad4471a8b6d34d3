"""Which packages the session has imported, by their versions."""

from __future__ import annotations

import sys
import types
from typing import Any, Final

from sandbank_runner.interpreter.sealed import seal

seal(globals())

_modules = sys.modules
_module_names: Any = vars(types.ModuleType)["__dict__"].__get__
_OWN: Final = frozenset([*sys.stdlib_module_names, "__main__", "sandbank_runner", "sandbank"])
_CHARACTERS: Final = 100


def packages_of() -> dict[str, str]:
    """Return the version of each package that has one and is imported, as far as it says it."""
    found = {}
    for name, module in list(_modules.items()):
        if (
            type(name) is not str
            or "." in name
            or name in _OWN
            or not issubclass(type(module), types.ModuleType)
        ):
            continue
        version = _module_names(module).get("__version__")
        if type(version) is str:
            found[name] = version[:_CHARACTERS]
    return found
