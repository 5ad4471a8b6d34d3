"""Each operation can replace ``sys.stdout`` and its kin for itself.

``contextlib.redirect_stdout`` in one must not swallow what another prints. Python code gets and sets them as attributes
of :mod:`sys`; while namespace operations run these ask whose code it is. C code, ``print`` among it, takes them from
the module's dictionary; there lies a front that passes on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from sandbank_runner.interpreter.parallel import current
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_NAMES = ("stdin", "stdout", "stderr")
_find: Callable[[], Any] = current.namespace_operation
_values: dict[str, Any] = vars(sys)
_fronts: dict[str, _Front] = {}


class _Front:
    """Stands for one of the streams where C code looks."""

    def __init__(self, name: str, of_session: Any) -> None:
        self._name = name
        self.of_session = of_session

    def target(self) -> Any:
        """Return the stream of whoever asks."""
        operation = _find()
        return self.of_session if operation is None else operation.streams.get(self._name, self.of_session)

    def replace(self, stream: Any) -> None:
        """Put ``stream`` there, for whoever asks."""
        operation = _find()
        if operation is None:
            self.of_session = stream
        else:
            operation.streams[self._name] = stream

    def write(self, text: Any) -> Any:
        """Write."""
        target = self.target()
        return None if target is None else target.write(text)

    def flush(self) -> None:
        """Flush."""
        target = self.target()
        if target is not None:
            target.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.target(), name)


def _attribute(name: str) -> property:
    def get(_: object) -> Any:
        front = _fronts.get(name)
        return _values.get(name) if front is None else front.target()

    def replace(_: object, stream: Any) -> None:
        front = _fronts.get(name)
        if front is None:
            _values[name] = stream
        else:
            front.replace(stream)

    return property(get, replace, lambda module: replace(module, None))


class _System(ModuleType):
    """:mod:`sys` while several operations share it."""

    stdin = _attribute("stdin")
    stdout = _attribute("stdout")
    stderr = _attribute("stderr")


_System.__name__ = _System.__qualname__ = "module"
_System.__module__ = "builtins"


def cover() -> None:
    """Let each operation have its own."""
    for name in _NAMES:
        front = _fronts[name] = _Front(name, _values.get(name))
        _values[name] = front
    sys.__class__ = _System


def uncover() -> None:
    """There is one of each again."""
    sys.__class__ = ModuleType
    while _fronts:
        name, front = _fronts.popitem()
        if _values.get(name) is front:
            _values[name] = front.of_session
