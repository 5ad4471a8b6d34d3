"""The names of what an operation changed, as far as the operation log keeps them: bounded, and never a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sandbank.v1 import execution_pb2, variable_pb2

NAMES: Final = 200
"""Variables, and files, named for one operation at most."""

NAMES_BYTES: Final = 8 * 1024
"""What the names of one operation take at most."""

_ADDED, _MODIFIED, _REMOVED = "+", "~", "-"
_VARIABLE_MARKS: Final = {
    variable_pb2.VariableChange.KIND_ADDED: _ADDED,
    variable_pb2.VariableChange.KIND_REMOVED: _REMOVED,
}
_FILE_MARKS: Final = {
    execution_pb2.FILE_CHANGE_KIND_ADDED: _ADDED,
    execution_pb2.FILE_CHANGE_KIND_REMOVED: _REMOVED,
}


@dataclass(frozen=True, slots=True)
class NamedEffects:
    """Names of one operation, each after a mark: added, modified or removed. ``more``: there were others."""

    variables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    more: bool = False

    def __bool__(self) -> bool:
        """Whether there is anything to keep."""
        return bool(self.variables or self.files or self.more)

    def fields(self) -> dict[str, object]:
        """Return what a line of the log holds of them."""
        fields: dict[str, object] = {}
        if self.variables:
            fields["v"] = self.variables
        if self.files:
            fields["f"] = self.files
        if self.more:
            fields["m"] = 1
        return fields

    @classmethod
    def of_fields(cls, fields: Mapping[str, object]) -> NamedEffects:
        """Return what a line of the log says."""
        return cls(_names(fields.get("v")), _names(fields.get("f")), "m" in fields)

    @classmethod
    def of_operation(cls, operation: execution_pb2.Operation) -> NamedEffects:
        """Return what a Finished tells; it came from a sandbox, so it is bounded here."""
        if not (operation.changes or operation.files_changed or operation.changes_truncated):
            return _NOTHING
        room = [NAMES_BYTES]
        variables = [_VARIABLE_MARKS.get(each.kind, _MODIFIED) + each.name for each in operation.changes]
        files = [_FILE_MARKS.get(each.kind, _MODIFIED) + each.path for each in operation.files_changed]
        kept_variables, kept_files = _bounded(variables, room), _bounded(files, room)
        left_out = len(variables) + len(files) - len(kept_variables) - len(kept_files)
        return cls(kept_variables, kept_files, bool(left_out) or operation.changes_truncated)


_NOTHING: Final = NamedEffects()


@dataclass(frozen=True, slots=True)
class Gone:
    """What goes when the effects of operations do. ``more``: there is something that nobody can name."""

    variables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    more: bool = False


def gone_with(effects: Iterable[NamedEffects]) -> Gone:
    """Return what goes with the effects of operations, oldest first; what came and went among them is not missed."""
    variables: dict[str, bool] = {}
    files: dict[str, bool] = {}
    more = False
    for each in effects:
        _apply(variables, each.variables)
        _apply(files, each.files)
        more = more or each.more
    return Gone(tuple(variables), tuple(files), more)


def _apply(known: dict[str, bool], marked: Iterable[str]) -> None:
    """Take note of changes; the value is whether a name was there for these operations only."""
    for each in marked:
        mark, name = each[:1], each[1:]
        if mark == _REMOVED and known.get(name):
            del known[name]
        else:
            known.setdefault(name, mark == _ADDED)


def _bounded(names: list[str], room: list[int]) -> tuple[str, ...]:
    """Return the first names that there is room for."""
    kept: list[str] = []
    for name in names[:NAMES]:
        room[0] -= len(name.encode("utf-8", "backslashreplace")) + 3
        if room[0] < 0:
            break
        kept.append(name)
    return tuple(kept)


def _names(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
