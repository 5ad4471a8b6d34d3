"""The session's ``__main__``: where user code runs, and what is put right in it before every operation."""

from __future__ import annotations

import builtins
import sys
from types import ModuleType
from typing import Any

from sandbank_runner.interpreter.sealed import seal

seal(globals())

OWN_NAMES = frozenset(
    ["__annotations__", "__builtins__", "__doc__", "__loader__", "__name__", "__package__", "__spec__", "_"]
)
"""Names of the namespace that are the interpreter's, not the session's."""


class Namespace:
    """A fresh ``__main__``: no file, no loader; a class defined in it pickles as ``__main__.Name``."""

    __slots__ = ("_last", "_template_main", "module", "names")

    def __init__(self) -> None:
        self.module = ModuleType("__main__")
        self.names: dict[str, Any] = self.module.__dict__
        self.names["__builtins__"] = builtins
        self._last: object = None
        # Whoever still runs a function of the template's __main__ needs its globals.
        self._template_main = sys.modules.get("__main__")
        sys.modules["__main__"] = self.module

    def repair(self) -> None:
        """Undo what would make the next operation run elsewhere, or on the runner's sealed builtins."""
        if sys.modules.get("__main__") is not self.module:
            sys.modules["__main__"] = self.module
        if self.names.get("__builtins__") is not builtins:
            self.names["__builtins__"] = builtins

    def keep_last(self, value: object) -> None:
        """Bind ``_`` to the value of a last expression, unless user code uses the name for something else."""
        if self.names.get("_", self._last) is self._last:
            self.names["_"] = self._last = value
