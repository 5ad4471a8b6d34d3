"""``__main__`` as an operation sees it: with the names of its own copy.

pickle looks classes and functions up there, dataclasses and typing their globals. While namespace operations run the
module has a class of its own that asks whose code it is.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from sandbank_runner.interpreter.parallel import current
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_find: Callable[[], Any] = current.namespace_operation
_get, _set, _delete = ModuleType.__getattribute__, ModuleType.__setattr__, ModuleType.__delattr__


class MainModule(ModuleType):
    """The module while several operations share it."""

    def __getattribute__(self, name: str) -> Any:
        operation = _find()
        if operation is None:
            return _get(self, name)
        names = operation.branch.names
        if name == "__dict__":
            return names
        if name in names:
            return names[name]
        if name in _get(self, "__dict__"):
            raise AttributeError(f"module '__main__' has no attribute {name!r}")
        return _get(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        operation = _find()
        if operation is None:
            _set(self, name, value)
        else:
            operation.branch.names[name] = value

    def __delattr__(self, name: str) -> None:
        operation = _find()
        if operation is None:
            _delete(self, name)
        elif operation.branch.names.pop(name, operation) is operation:
            raise AttributeError(name)


MainModule.__name__ = MainModule.__qualname__ = "module"
MainModule.__module__ = "builtins"


def cover(module: ModuleType) -> None:
    """Let each operation see its own names there."""
    module.__class__ = MainModule


def uncover(module: ModuleType) -> None:
    """It is everybody's again."""
    module.__class__ = ModuleType
