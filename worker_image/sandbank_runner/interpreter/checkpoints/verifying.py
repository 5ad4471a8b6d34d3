"""Digests of variables, by which a checkpoint that was loaded can be compared with what was saved.

That of the change reports: of the graph that a name leads to, without code of the user's. Which variables share objects
counts too, within their group: nobody shares any with another group.
"""

from __future__ import annotations

import hashlib
import sys
import time
from array import array
from collections.abc import Iterable
from typing import Any, Final

from sandbank_runner.interpreter.changes import foreign, rules
from sandbank_runner.interpreter.changes.digests import digest
from sandbank_runner.interpreter.changes.tracker import Around
from sandbank_runner.interpreter.changes.walk import Entry, Place, Walk
from sandbank_runner.interpreter.sealed import seal

seal(globals())

SECONDS: Final = 30.0
"""What one variable may take; then it has no digest."""
_monotonic = time.monotonic
_sha256 = hashlib.sha256
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
    rule, sharing = rules.entry_of(kind)
    return (_unknown if rule is foreign.an_opaque else rule), sharing


def _unknown(walk: Walk, _value: Any, _kind: Any) -> None:
    walk.unsure = "it is told by its memory"


def digests(names: dict[str, Any], group: Iterable[str]) -> dict[str, str]:
    """Return digests of the variables of a group, "" where there is none that means something."""
    around = Around(names, _Memory())
    around.entry_of = _entry_of
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
        order = array("q", [numbers.setdefault(number, len(numbers)) for number in walk.mutable])
        found[name] = "" if walk.unsure else _PREFIX + _sha256(state + order.tobytes()).hexdigest()
    return found
