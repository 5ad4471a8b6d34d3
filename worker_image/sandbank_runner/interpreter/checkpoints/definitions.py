"""Functions and classes of the session by value: as calls that make them empty, and then fill them.

What is made first refers to nothing that could lead back to it, so any cycle can be pickled.
"""

from __future__ import annotations

import ctypes
import enum
import marshal
import types
from typing import Any, Final

from sandbank_runner.interpreter.checkpoints import rebuild
from sandbank_runner.interpreter.checkpoints.anchors import Anchors
from sandbank_runner.interpreter.checkpoints.edges import registered_with
from sandbank_runner.interpreter.checkpoints.steps import Step
from sandbank_runner.interpreter.checkpoints.unsavable import Unsavable
from sandbank_runner.interpreter.reading.kinds import contents_of, derives, identity, mro_of
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_Function = types.FunctionType
_dumps = marshal.dumps
_MARSHAL: Final = 2
"""Of later versions the bytes depend on who else refers to a constant."""
_Slot, _GetSet = types.MemberDescriptorType, types.GetSetDescriptorType
_FIRST: Final = (_Function, staticmethod, classmethod, property)
"""Attributes that a class has before its others are loaded: instances among these may need its methods."""
_LEFT_OUT: Final = frozenset(["__dict__", "__weakref__", "_abc_impl", "__slotnames__"])
_AT_ONCE: Final = ("__module__", "__doc__")
_qualified_name: Any = type.__dict__["__qualname__"].__get__
_own_name: Any = type.__dict__["__name__"].__get__
_own_bases: Any = type.__dict__["__bases__"].__get__
_OPTIONS = ("__annotations__", "__type_params__")


class _Sample(ctypes.Structure):
    _fields_ = (("field", ctypes.c_int),)


_Field: Final = type(_Sample.field)
"""What a class of ctypes makes of its own accord."""

Reduced = tuple[Any, ...]


def reduce_code(code: types.CodeType) -> Reduced:
    """Reduce a code object."""
    return rebuild.make_code, (_dumps(code, _MARSHAL),)


class Definitions:
    """Reduces functions and classes of one pickle."""

    def __init__(self, anchors: Anchors) -> None:
        self._anchors = anchors
        self._claimed: set[int] = set()
        """Cells whose content is saved with a function's state."""
        self._places: dict[tuple[str, str], Step] = {}

    def begin_anew(self) -> None:
        """Forget what was pickled."""
        self._claimed.clear()

    def reduce_cell(self, cell: types.CellType) -> Reduced:
        """Reduce a closure's variable: empty where a function brings the content later, once it can be referred to."""
        if identity(cell) in self._claimed:
            return rebuild.make_cell, ()
        self._claimed.add(identity(cell))
        return rebuild.make_cell, (), _contents(cell), None, None, rebuild.fill_cell

    def reduce_function(self, function: types.FunctionType) -> Reduced:
        """Reduce a function by value."""
        cells = function.__closure__
        fresh = [cell for cell in cells or () if identity(cell) not in self._claimed]
        self._claimed.update(map(identity, fresh))
        own: dict[str, Any] = {
            "__defaults__": function.__defaults__,
            "__kwdefaults__": function.__kwdefaults__,
            "__module__": function.__module__,
            "__doc__": function.__doc__,
            "__qualname__": function.__qualname__,
        }
        for option in _OPTIONS:
            if getattr(function, option, None):
                own[option] = getattr(function, option)
        state = (own, function.__dict__, [(cell, _contents(cell)) for cell in fresh])
        names = self._anchors.container(function.__globals__)
        where: Any = function.__globals__ if names is None else self._place(names)
        arguments = (function.__code__, where, function.__name__, cells)
        return rebuild.make_function, arguments, state, None, None, rebuild.fill_function

    def _place(self, names: tuple[str, str]) -> Step:
        return self._places.setdefault(names, Step(rebuild.place, *names))

    def reduce_class(self, kind: Any) -> Reduced:
        """Reduce a class by value."""
        meta = type(kind)
        contents = dict(contents_of(kind))
        slots = [
            name for name, value in contents.items() if type(value) is _Slot and value.__objclass__ is kind
        ]
        kept = {
            name: value for name, value in contents.items() if name not in _LEFT_OUT and name not in slots
        }
        first = {name: value for name, value in kept.items() if type(value) in _FIRST}
        rest = {name: value for name, value in kept.items() if name not in first}
        names, later = _in_order(contents, kept)
        at_once = {name: kept[name] if name in _AT_ONCE else None for name in names}
        at_once["__qualname__"] = _qualified_name(kind)
        if "__slots__" in kept:
            at_once["__slots__"] = (
                *slots,
                *(name for name in ("__dict__", "__weakref__") if type(contents.get(name)) is _GetSet),
            )
        if not _is_made_by_type(meta):
            members = {name: value for name, value in kept.items() if type(value) is not _Field}
            members.update((name, at_once[name]) for name in ("__qualname__", "__slots__") if name in at_once)
            return rebuild.make_closed_class, (_own_name(kind), _own_bases(kind), members)
        arguments = (meta, _own_name(kind), _own_bases(kind), at_once, later)
        state = (Step(rebuild.add_members, kind, first), rest, registered_with(kind))
        return rebuild.make_class, arguments, state, None, None, rebuild.fill_class


def reduce_member(value: Any, kind: Any, is_here: bool) -> Reduced:
    """Reduce a member of an enumeration of the session."""
    attributes = value.__dict__
    name = attributes.get("_name_")
    if not is_here:
        if type(name) is str and contents_of(kind)["_member_map_"].get(name) is value:
            return rebuild.member, (kind, name)
        return kind, (attributes["_value_"],)
    for base in mro_of(kind):
        plain = _PLAIN.get(identity(base))
        if plain is not None and (base is not object or kind._member_type_ is object):
            return rebuild.make_member, (kind, base, plain(value)), dict(attributes)
    raise Unsavable(f"members of {_own_name(kind)} are made in a way that is not known")


def is_enumeration(kind: Any) -> bool:
    """Tell whether instances of a class are members of an enumeration."""
    return derives(type(kind), enum.EnumMeta)


# fmt: off
_PLAIN: Final[dict[int, Any]] = {
    identity(int): lambda value: (int.__int__(value),),
    identity(str): lambda value: (str.__str__(value),),
    identity(float): lambda value: (float.__float__(value),),
    identity(bytes): lambda value: (bytes.__getitem__(value, slice(None)),),
    identity(tuple): lambda value: (tuple.__getitem__(value, slice(None)),),
    identity(object): lambda _: (),
}
# fmt: on


def _in_order(contents: dict[str, Any], kept: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the attributes that a class had from its body, and those that were set later, each in their order.

    Between them lie those that every class makes itself.
    """
    names = [*contents]
    for at, (name, value) in enumerate(contents.items()):
        if name not in kept or (name == "__doc__" and value is None):
            return [each for each in names[:at] if each in kept], [
                each
                for each in names[at:]
                if each in kept and (each != "__doc__" or contents[each] is not None)
            ]
    return names, []


def _contents(cell: types.CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _is_made_by_type(meta: Any) -> bool:
    """Tell whether no C code of a metaclass has a say in what a class is in memory."""
    for ancestor in mro_of(meta):
        if ancestor is type:
            break
        for name in ("__new__", "__init__"):
            maker = contents_of(ancestor).get(name)
            if maker is not None and type(maker) not in (staticmethod, _Function):
                return False
    return True
