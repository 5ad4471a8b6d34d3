"""Digests of variables, by which a checkpoint that was loaded can be compared with what was saved.

That of the change reports: of the graph that a name leads to, without code of the user's. Which variables share objects
counts too, within their group: nobody shares any with another group. Arrays are told by what they show, not by how it
lies in memory: one that was the only view of its memory comes back as an array of its own. Objects of known libraries
that say themselves how they are pickled are told by that: how they keep it is their business. Imported modules are told
by their names: what is in one may differ with the circumstances of its import, and is not what a checkpoint saves.
"""

from __future__ import annotations

import hashlib
import sys
import time
import types
from array import array
from collections.abc import Iterable
from typing import Any, Final

from sandbank_runner.interpreter.changes import code, foreign, instances, rules
from sandbank_runner.interpreter.changes.digests import digest
from sandbank_runner.interpreter.changes.tracker import Around
from sandbank_runner.interpreter.changes.walk import MUTABLE, PLAIN, Entry, Place, Walk
from sandbank_runner.interpreter.reading.kinds import contents_of, derives, genuine, identity, mro_of
from sandbank_runner.interpreter.sealed import seal

seal(globals())

SECONDS: Final = 30.0
"""What one variable may take; then it has no digest."""
_monotonic = time.monotonic
_sha256 = hashlib.sha256
_modules = sys.modules
_PREFIX: Final = "xxh3:" if "xxhash" in sys.modules else "blake2:"


class _Memory:
    """Digests memory, and keeps nothing."""

    has_tables = False

    def digest(self, memory: Any, _address: int, _size: int) -> bytes:
        """Read all of it."""
        return digest(memory)

    def table(self, _place: Place) -> None:
        """Know of none."""

    def keep(self, _place: Place, _found: bytes) -> None:
        """Keep nothing."""


def _entry_of(kind: Any) -> Entry:
    """Return the rule for a type. What is told by bare memory means nothing in another process."""
    ndarray = genuine("numpy", "ndarray")
    if kind is genuine("numpy.ma.core", "MaskedConstant"):
        return foreign.a_reduced, PLAIN  # there is one
    if ndarray is not None and derives(kind, ndarray):
        return instances.entry_of(kind, _an_array) if instances.is_python(kind) else (_an_array, MUTABLE)
    rule, sharing = rules.entry_of(kind)
    if ndarray is not None and derives(kind, genuine("numpy", "dtype")):
        return rule, PLAIN  # equal ones may be one object, or several
    if _is_reduced_by_library(kind):
        return _a_reduced, sharing
    return (_unknown if rule is foreign.an_opaque else rule), sharing


def _a_module(walk: Walk, value: Any, kind: Any) -> None:
    name = code.namespace_of(value).get("__name__")
    if type(name) is str and _modules.get(name) is value:
        walk.tokens.append(("module", name))
    else:  # the session has made it
        code.a_module(walk, value, kind)


def _a_reduced(walk: Walk, value: Any, kind: Any) -> None:
    """Write down what a library's object gives to pickle. The order of its attributes is not part of it."""
    try:
        parts = kind.__reduce_ex__(value, 5)
    except Exception:
        _unknown(walk, value, kind)
        return
    if type(parts) is tuple and len(parts) > 2 and type(parts[2]) is dict:
        state = parts[2]
        names = [name for name in state if type(name) is str]
        if len(names) == len(state):
            parts = (*parts[:2], {name: state[name] for name in sorted(names)}, *parts[3:])
    foreign.write_reduction(walk, parts, kind)


_REDUCERS: Final = ("__reduce__", "__reduce_ex__", "__getstate__")


def _is_reduced_by_library(kind: Any) -> bool:
    """Tell whether how instances are pickled is said by a class of a known library, written in whatever language.

    Not Matplotlib's: what it says differs from time to time, what its objects hold does not.
    """
    for ancestor in mro_of(kind):
        if ancestor is object:
            break
        if any(name in contents_of(ancestor) for name in _REDUCERS):
            return rules.is_of_library(ancestor) and ancestor.__module__.partition(".")[0] != "matplotlib"
    return False


def _an_array(walk: Walk, value: Any, _kind: Any) -> None:
    """Write down what an array shows."""
    ndarray: Any = genuine("numpy", "ndarray")
    plain = value if type(value) is ndarray else ndarray.view(value, ndarray)
    kind = plain.dtype
    walk.tokens.append(("ndarray", plain.shape, bool(plain.flags.writeable)))
    if kind.hasobject:
        parts = list(plain.flat)
        walk.spend(len(parts))
        walk.keep.append(parts)
        walk.push(parts)
    else:
        walk.tokens.append(digest(plain.tobytes()))
    walk.stack.append(kind)


def _unknown(walk: Walk, _value: Any, _kind: Any) -> None:
    walk.unsure = "it is told by its memory"


def digests(names: dict[str, Any], group: Iterable[str]) -> dict[str, str]:
    """Return digests of the variables of a group, "" where there is none that means something."""
    around = Around(names, _Memory())
    around.entry_of = _entry_of
    around.entries[identity(types.ModuleType)] = _a_module, PLAIN
    numbers: dict[int, int] = {}
    found = {}
    for name in group:
        if name not in names:
            continue
        walk = Walk(around, _monotonic() + SECONDS)
        try:
            state = walk.digest_of(names[name])
        except Exception:
            found[name] = ""
            continue
        if walk.unsure:  # it does not count for who shares what with whom, either
            found[name] = ""
            continue
        order = array("q", [numbers.setdefault(number, len(numbers)) for number in walk.mutable])
        found[name] = _PREFIX + _sha256(state + order.tobytes()).hexdigest()
    return found
