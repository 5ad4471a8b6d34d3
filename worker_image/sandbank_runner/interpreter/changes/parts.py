"""What a glance looks into, and how: the parts of many objects of one kind, in C code as far as it goes.

Only kinds whose state is their parts, or follows from them. What an object holds but its rule does not look at may be
among them: a glance then finds a difference where there is none, and the variable is walked.
"""

from __future__ import annotations

import abc
import datetime
import decimal
import functools
import gc
import types
from collections import deque
from collections.abc import Callable
from itertools import chain
from operator import add
from typing import Any, Final

from sandbank_runner.interpreter.changes import atoms, code, instances, placing
from sandbank_runner.interpreter.changes.imprints import CannotGlance
from sandbank_runner.interpreter.changes.library import Library
from sandbank_runner.interpreter.changes.limits import LARGE
from sandbank_runner.interpreter.changes.pointers import Pointers
from sandbank_runner.interpreter.changes.walk import Buffers
from sandbank_runner.interpreter.reading.kinds import contents_of, identity
from sandbank_runner.interpreter.sealed import seal

seal(globals())

Expansion = Callable[[list[Any]], tuple[list[Any], list[int]]]
"""Returns the parts of some objects, one after the other, and how many each has."""

_referents = gc.get_referents
_flatten = chain.from_iterable
_values = dict.values
_maxlen_of: Any = deque.__dict__["maxlen"].__get__
_MISSING: Final = object()
"""Stands for a slot that is empty."""


def sequences(found: list[Any]) -> tuple[list[Any], list[int]]:
    """Return the parts of lists, tuples, sets and the like."""
    return list(_flatten(found)), list(map(len, found))


def queues(found: list[Any]) -> tuple[list[Any], list[int]]:
    """Return the parts of deques, and how long they may be."""
    return sequences([(_maxlen_of(each), *each) for each in found])


def dictionaries(found: list[Any]) -> tuple[list[Any], list[int]]:
    """Return the keys and the values of dicts."""
    sizes = list(map(len, found))
    return list(_flatten(_flatten(zip(found, map(_values, found), strict=True)))), list(
        map(add, sizes, sizes)
    )


def wholes(found: list[Any]) -> tuple[list[Any], list[int]]:
    """Return the parts of what the collector knows all of."""
    return sequences(list(map(_referents, found)))


def functions(found: list[Any]) -> tuple[list[Any], list[int]]:
    """Return the parts of functions but for their globals."""
    return sequences([
        (each.__code__, each.__defaults__, each.__kwdefaults__, each.__closure__, each.__dict__, each.__doc__,
         each.__name__, each.__qualname__, each.__module__, each.__annotations__)
        for each in found
    ])  # fmt: skip


def others_functions(found: list[Any]) -> tuple[list[Any], list[int]]:
    """Return what functions of modules are told by."""
    return sequences([(each.__code__, each.__name__, each.__qualname__, each.__module__) for each in found])


def properties(found: list[Any]) -> tuple[list[Any], list[int]]:
    """Return the functions of properties."""
    return sequences([[read(each) for read in code.property_parts] for each in found])


def cached_functions(found: list[Any]) -> tuple[list[Any], list[int]]:
    """Return the attributes of functions with an ``lru_cache``."""
    return [each.__dict__ for each in found], [1] * len(found)


def classes(found: list[Any]) -> tuple[list[Any], list[int]]:
    """Return the names, bases and contents of classes of the session."""
    parts = []
    for each in found:
        contents = contents_of(each)
        parts.append([code.qualname_of(each), code.bases_of(each), *contents, *contents.values()])
    return sequences(parts)


def _objects(kind: Any) -> Expansion:
    """Return what expands the instances of a class of the session: slots, keys and values of the dictionary."""
    read = instances.dictionary_of(kind)
    slots = [descriptor.__get__ for _, descriptor in instances.slots_of(kind)]

    def dictionaries_of(found: list[Any]) -> tuple[list[Any], list[int]]:
        states = list(map(read, found))
        if not _DICT.issuperset(map(identity, map(type, states))):
            raise CannotGlance
        return dictionaries(states)

    def parts_of(found: list[Any]) -> tuple[list[Any], list[int]]:
        parts = []
        for each in found:
            own = []
            for slot in slots:
                try:
                    own.append(slot(each))
                except AttributeError:
                    own.append(_MISSING)
            if read is not None:
                state = read(each)
                if type(state) is not dict:
                    raise CannotGlance
                own += [*state, *state.values()]
            parts.append(own)
        return sequences(parts)

    return parts_of if slots or read is None else dictionaries_of


_DICT: Final = frozenset([identity(dict)])
_SIZED: Final = frozenset(map(identity, (list, tuple, dict, set, frozenset, deque)))
_KINDS: Final[dict[int, Expansion]] = {
    identity(kind): how
    for how, kinds in (
        (sequences, (list, tuple, set, frozenset)),
        (queues, (deque,)),
        (dictionaries, (dict,)),
        (wholes, (types.MethodType, types.CellType, staticmethod, classmethod, functools.partial, slice)),
        (properties, (property,)),
        (cached_functions, (functools._lru_cache_wrapper,)),  # noqa: SLF001
    )
    for kind in kinds
}  # fmt: skip
_IMMUTABLE: Final = frozenset(
    map(identity, (
        types.CodeType, types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType,
        types.GetSetDescriptorType, types.MemberDescriptorType, range, type(NotImplemented), datetime.date,
        datetime.timedelta, decimal.Decimal, object, type(vars(abc.ABC)["_abc_impl"]),
    ))
)  # fmt: skip


class Kinds:
    """Knows how to look into what, for one glance: classes and modules may go."""

    def __init__(self, session: dict[str, Any], buffers: Buffers) -> None:
        """``session``: the names of the session."""
        self._session = session
        self._objects: dict[int, tuple[Expansion, Any]] = {}
        self._modules = Modules(session)
        self._library = Library(buffers)

    def how(self, value: Any) -> Expansion | None:
        """Return how to look into an object, None where it never changes. Raises :class:`CannotGlance`."""
        kind = type(value)
        key = identity(kind)
        if key in atoms.KINDS:
            if not atoms.is_short(value, key):
                raise CannotGlance
            return None
        if key in _IMMUTABLE:
            return None
        how = _KINDS.get(key)
        if how is not None:
            if key in _SIZED and len(value) > LARGE and atoms.all_atoms(value):
                raise CannotGlance  # its table says more, and at less cost
            return how
        return self._other(value, kind, key)

    def _other(self, value: Any, kind: Any, key: int) -> Expansion | None:
        if kind is types.FunctionType:
            own = value.__globals__ is self._session or value.__closure__ is not None
            return functions if own else others_functions
        if kind is types.ModuleType:
            return self._modules
        if kind is types.BuiltinFunctionType:
            if value.__self__ is not None and type(value.__self__) is not types.ModuleType:
                raise CannotGlance
            return None
        if code.is_class(kind):
            return classes if code.module_of(value) == code.MAIN else None
        known = self._objects.get(key)
        if known is not None:
            return known[0]
        if not instances.is_bare(kind):
            found: Expansion | None = self._library.how(value, kind, key)
            return found
        how = _objects(kind)
        self._objects[key] = how, kind
        return how


class Modules:
    """Looks into modules: their tables are compared as memory, for what they hold is shared with the template."""

    def __init__(self, session: dict[str, Any]) -> None:
        self._session = session
        self._known: dict[int, tuple[Any, Any, Pointers, list[Any], list[str]]] = {}

    def __call__(self, found: list[Any]) -> tuple[list[Any], list[int]]:
        """Return what the session has put into modules. Raises :class:`CannotGlance`."""
        return sequences([self._parts(each) for each in found])

    def _parts(self, module: Any) -> list[Any]:
        contents = code.namespace_of(module)
        table = placing.of_dict(contents)
        if table is None or not placing.ARE_KNOWN:
            raise CannotGlance
        address, size = table
        known = self._known.get(identity(module))
        if known is None:
            words = Pointers.copied(address, size)
            parts = code.parts_of_module(self._session, module)
            if parts is None:
                raise CannotGlance
            held = list(contents.values())
            known = self._known[identity(module)] = module, contents, words, held, [name for name, _ in parts]
        elif not known[2].are_at(address, size):
            raise CannotGlance
        return [contents[name] for name in known[4]]
