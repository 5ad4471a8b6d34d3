"""Where something was defined, and its source, where that is known: of cells too."""

from __future__ import annotations

import functools
import inspect
import linecache
import re
import types
from typing import Any, Final, NamedTuple

from sandbank_runner.interpreter.inspecting.attributes import is_class
from sandbank_runner.interpreter.reading.kinds import contents_of
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.traces import CELL

seal(globals())

_unwrap, _getblock, _getsourcefile = inspect.unwrap, inspect.getblock, inspect.getsourcefile
_getlines = linecache.getlines
_cache = linecache.cache
_Function, _Method = types.FunctionType, types.MethodType
_name_of: Any = type.__dict__["__name__"].__get__
_cell_number = re.compile(r"<cell (\d+)>").fullmatch
_LINES: Final = 100_000


class Definition(NamedTuple):
    """A file, or a cell; a line, from 1 on, 0 where unknown; and the source from there to its end."""

    file: str = ""
    line: int = 0
    source: str = ""


def definition_of(value: Any) -> Definition:
    """Return where a function or class was defined. Raises where there is no telling."""
    if is_class(value):
        return _of_class(value)
    value = _function(value)
    if type(value) is not _Function:
        if issubclass(type(value), types.ModuleType):
            return Definition(_getsourcefile(value) or "")
        return Definition()
    code = value.__code__
    return _block(code.co_filename, code.co_firstlineno)


def _function(value: Any) -> Any:
    for _ in range(100):
        if type(value) is _Method:
            value = value.__func__
        elif type(value) is functools.partial:
            value = value.func
        elif type(value) is property:
            value = value.fget
        else:
            break
    return _unwrap(value)


def _of_class(value: Any) -> Definition:
    """Look for the last ``class`` statement of that name in the files, or cells, that it may come from."""
    begins = re.compile(rf"[ \t]*class[ \t]+{re.escape(_name_of(value))}\b").match
    for file in _files_of(value):
        lines = _getlines(file)[:_LINES]
        number = next((number for number in range(len(lines), 0, -1) if begins(lines[number - 1])), 0)
        while number > 1 and lines[number - 2].lstrip().startswith("@"):
            number -= 1
        if number:
            return _block(file, number)
    return Definition()


def _files_of(value: Any) -> list[str]:
    methods = [part for part in contents_of(value).values() if type(part) is _Function]
    found = {method.__code__.co_filename: None for method in methods}
    module = contents_of(value).get("__module__")
    if module != "__main__":
        return [_getsourcefile(value) or ""]
    cells = [name for name in list(_cache) if type(name) is str and name.startswith(CELL)]
    newest = sorted(cells, key=_number, reverse=True)
    return [file for file in found if file.startswith(CELL)] or newest


def _number(cell: str) -> int:
    found = _cell_number(cell)
    return int(found[1]) if found else 0


def _block(file: str, line: int) -> Definition:
    lines = _getlines(file)
    if not 0 < line <= len(lines):
        return Definition(file, line)
    return Definition(file, line, "".join(_getblock(lines[line - 1 :])))
