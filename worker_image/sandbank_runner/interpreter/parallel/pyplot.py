"""Figures that pyplot has open, for each operation its own: ``plt.plot`` of one must not draw into another's."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from sandbank_runner.interpreter import after_import
from sandbank_runner.interpreter.parallel import current
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_MODULE = "matplotlib._pylab_helpers"
_find: Callable[[], Any] = current.namespace_operation
_is_awaited = False


class _Figures(OrderedDict[Any, Any]):
    """``Gcf.figs``: whose they are is asked at each use."""

    def __init__(self, figures: OrderedDict[Any, Any]) -> None:
        super().__init__()
        self.of_session = figures

    def _own(self) -> OrderedDict[Any, Any]:
        operation = _find()
        figures: OrderedDict[Any, Any] = self.of_session if operation is None else operation.figures
        return figures

    def __getitem__(self, key: Any) -> Any:
        return self._own()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._own()[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._own()[key]

    def __contains__(self, key: object) -> bool:
        return key in self._own()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._own())

    def __reversed__(self) -> Iterator[Any]:
        return iter(reversed(self._own()))

    def __len__(self) -> int:
        return len(self._own())

    def keys(self) -> Any:
        return self._own().keys()

    def values(self) -> Any:
        return self._own().values()

    def items(self) -> Any:
        return self._own().items()

    def get(self, key: Any, default: Any = None) -> Any:
        return self._own().get(key, default)

    def pop(self, *arguments: Any) -> Any:
        return self._own().pop(*arguments)

    def clear(self) -> None:
        self._own().clear()

    def move_to_end(self, key: Any, last: bool = True) -> None:
        self._own().move_to_end(key, last)


def cover() -> None:
    """See to it that pyplot, as soon as it is there, keeps them apart. It stays so: the session's are one of them."""
    global _is_awaited  # noqa: PLW0603 - one process, one pyplot
    module = sys.modules.get(_MODULE)
    if module is not None:
        _keep_apart(module)
    elif not _is_awaited:
        _is_awaited = True
        after_import.call(_MODULE, _keep_apart)


def _keep_apart(module: ModuleType) -> None:
    manager: Any = module.Gcf
    if type(manager.figs) is not _Figures:
        manager.figs = _Figures(manager.figs)
