"""Rules for instances of classes written in Python: their dictionary, their slots, and the builtin that they extend.

Their class is named, not looked into: a class that is redefined changes itself, not its instances.
"""

from __future__ import annotations

import types
from typing import Any, Final, NamedTuple

from sandbank_runner.interpreter.changes import atoms, code, containers
from sandbank_runner.interpreter.changes.walk import MUTABLE, Entry, Rule, Walk
from sandbank_runner.interpreter.reading.kinds import contents_of, identity, mro_of
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_flags_of: Any = type.__dict__["__flags__"].__get__
_HEAP: Final = 1 << 9
_IN_C: Final = (types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType)
_GetSet, _Member = types.GetSetDescriptorType, types.MemberDescriptorType
_CACHES: Final = frozenset([
    "_cache", "_item_cache", "_cacher", "_engine", "__warningregistry__", "_has_sorted_indices",
    "_has_canonical_format",
])  # fmt: skip
"""Attributes that instances of library classes keep what they have looked up in."""
_ATOMS: Final[tuple[Any, ...]] = (bool, int, float, complex, str, bytes)


class Shape(NamedTuple):
    """How the state of a class's instances is got at."""

    name: tuple[str, str]
    dictionary: Any
    """Reads the dictionary of an instance; None where it has none."""
    slots: tuple[tuple[str, Any], ...]
    base: Rule | None
    """What writes down the builtin that the class extends."""
    skip: frozenset[str]


def is_python(kind: Any) -> bool:
    """Tell whether a class was made by a ``class`` statement: it has no methods in C of its own."""
    if not _flags_of(kind) & _HEAP:
        return False
    for part in contents_of(kind).values():
        found = type(part)
        if any(found is each for each in _IN_C) and part.__objclass__ is kind:
            return False
        if (
            found is _GetSet
            and part.__name__ not in ("__dict__", "__weakref__")
            and part.__objclass__ is kind
        ):
            return False
    return True


def is_bare(kind: Any) -> bool:
    """Tell whether all that instances of a class of the session hold is in their dictionary and their slots."""
    return code.module_of(kind) == code.MAIN and is_python(kind) and solid_base(kind) is object


def solid_base(kind: Any) -> Any:
    """Return the nearest ancestor that C code made."""
    return next(ancestor for ancestor in mro_of(kind) if not is_python(ancestor))


def entry_of(kind: Any, base_rule: Rule | None, skip: frozenset[str] = frozenset()) -> Entry:
    """Return the rule for a class whose builtin part, if any, ``base_rule`` writes down.

    ``skip`` are attributes that are no state.
    """
    shape = Shape(
        code.class_name(kind),
        dictionary_of(kind),
        tuple(slot for slot in slots_of(kind) if slot[0] not in skip),
        base_rule,
        skipped(kind, skip),
    )

    def an_instance(walk: Walk, value: Any, kind: Any) -> None:
        _write(walk, value, kind, shape)

    return an_instance, MUTABLE


def skipped(kind: Any, skip: frozenset[str]) -> frozenset[str]:
    """Return what in the dictionary of instances of a class is no state, where a rule says that ``skip`` is not."""
    return skip or (frozenset() if code.module_of(kind) == code.MAIN else _CACHES)


def _write(walk: Walk, value: Any, kind: Any, shape: Shape) -> None:
    walk.tokens.append(("I", shape.name))
    _write_parts(walk, value, shape)
    if shape.base is not None:
        shape.base(walk, value, kind)


def _write_parts(walk: Walk, value: Any, shape: Shape) -> None:
    tokens = walk.tokens
    if shape.slots:
        filled, parts = [], []
        for name, descriptor in shape.slots:
            try:
                parts.append(descriptor.__get__(value))
            except AttributeError:
                continue
            filled.append(name)
        tokens.append(filled)
        walk.stack.extend(parts[::-1])
    if shape.dictionary is None:
        return
    state = shape.dictionary(value)
    if type(state) is not dict:
        walk.stack.append(state)
        return
    if shape.skip and not shape.skip.isdisjoint(state):
        state = {name: part for name, part in state.items() if name not in shape.skip}
    if atoms.all_short_atoms(state) and atoms.all_short_atoms(state.values()):
        walk.spend(2 * len(state))
        tokens.append(["D", *state, *state.values()])
    else:
        containers.write_items(walk, "i", list(state), list(state.values()))


def dictionary_of(kind: Any) -> Any:
    """Return what reads the dictionary of instances of ``kind``, no property of the user's; None: they have none."""
    for ancestor in mro_of(kind):
        found = contents_of(ancestor).get("__dict__")
        if type(found) is _GetSet or (type(found) is _Member and not is_python(ancestor)):
            return found.__get__
    return None


def slots_of(kind: Any) -> tuple[tuple[str, Any], ...]:
    """Return the names of the slots of a class and its ancestors, and what reads them."""
    found = []
    for ancestor in mro_of(kind):
        if is_python(ancestor):
            found += [
                (part.__name__, part)
                for part in contents_of(ancestor).values()
                if type(part) is _Member and part.__objclass__ is ancestor
            ]
    return tuple(found)


def an_atom(walk: Walk, value: Any, kind: Any) -> None:
    """Write down the builtin value that an instance of a subclass of ``int``, ``str`` and the like holds."""
    for base in _ATOMS:
        if issubclass(kind, base):
            plain = _plain(base, value)
            walk.tokens.append(("atom", atoms.token(plain, identity(base), walk.around.cache)))
            return


def _plain(base: Any, value: Any) -> Any:
    """Return the value as an instance of the builtin itself."""
    if base is str or base is bytes:
        return base.__getitem__(value, slice(None))
    if base is bool or base is int:
        return value if type(value) is bool else int.__add__(value, 0)
    if base is float:
        return float.__add__(value, -0.0)
    return complex.__add__(value, complex(-0.0, -0.0))


def an_error(walk: Walk, value: Any, kind: Any) -> None:
    """Write an exception down, without its traceback: frames are no state."""
    parts = BaseException.__dict__
    found = [parts[name].__get__(value) for name in ("args", "__cause__", "__context__")]
    filled = []
    for ancestor in mro_of(kind):  # what OSError, SyntaxError and others keep beside the arguments
        if is_python(ancestor):
            continue
        for name, part in contents_of(ancestor).items():
            if type(part) is _Member:
                try:
                    found.append(part.__get__(value))
                except AttributeError:
                    continue
                filled.append(name)
    walk.tokens.append(("error", filled))
    walk.keep.append(found)
    walk.push(found)


BASES: Final[tuple[tuple[Any, Rule], ...]] = (
    *((base, rule) for base, (rule, _) in containers.BASES),
    *((base, an_atom) for base in _ATOMS),
    (BaseException, an_error),
)
"""What classes in Python extend, and what writes that down."""
