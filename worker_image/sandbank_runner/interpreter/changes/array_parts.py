"""What a glance looks into of arrays: what says where their memory is, and that; as the rules for them do."""

from __future__ import annotations

from array import array
from typing import Any, Final

from sandbank_runner.interpreter.changes import atoms, memory, numpy_rules
from sandbank_runner.interpreter.changes.imprints import (
    CannotGlance,
    Chosen,
    Evidence,
    Evident,
    Imprint,
    Made,
    Piece,
)
from sandbank_runner.interpreter.changes.limits import LONG_BYTES
from sandbank_runner.interpreter.changes.numpy_rules import NumpyRules
from sandbank_runner.interpreter.changes.walk import Buffers
from sandbank_runner.interpreter.reading.kinds import contents_of, identity
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_TYPE_AT: Final = 8
_DEEPEST: Final = 8
"""Views of views."""
_SHAPE, _DATA = _DEEPEST + 1, _DEEPEST + 2
"""Stages."""
_SPREAD: Final = 4
"""How many times the size of an array the memory that it lies in may have, to be looked at as a whole."""
_MOVING: Final = (bytearray, array)
"""Who may let go of memory that an array shows."""
_KINDS: Final = "biufcmMSUOV"
"""Of dtypes whose values are in the array."""


class Arrays(Evident, Chosen):
    """Looks into arrays: at what says where their memory is, and at that."""

    def __init__(self, rules: NumpyRules) -> None:
        if not rules.layout_is_known:
            raise CannotGlance
        self._rules = rules
        self._made: dict[int, Made] = {}

    def __call__(self, found: list[Any]) -> tuple[list[Any], list[int]]:
        """Return the dtypes of arrays."""
        return list(map(self._rules.dtype_of, found)), [1] * len(found)

    def takes(self, value: Any) -> bool:
        """Tell whether an array can be looked at so. Raises :class:`CannotGlance`."""
        self._made[identity(value)] = self._made_of(value)
        return True

    def evidence(self, owners: list[int], found: list[Any], buffers: Buffers) -> Evidence:
        """Remember the memory of arrays."""
        made = [self._made.get(identity(each)) or self._made_of(each) for each in found]
        for each in found:
            self._made.pop(identity(each), None)
        return Imprint.of(owners, made, buffers)

    def _made_of(self, value: Any) -> Made:
        rules = self._rules
        pieces: list[Piece] = []
        for depth, each in enumerate(rules.chain(value)):
            if depth > _DEEPEST or type(each) is not rules.ndarray:
                raise CannotGlance
            pieces.append(
                Piece(depth, memory.address_of(each) + _TYPE_AT, numpy_rules.HEADER_BYTES - _TYPE_AT)
            )
        owner, is_mapped = rules.owner(value)
        if is_mapped or type(owner) in _MOVING:
            raise CannotGlance
        dtype, bytes_of = rules.dtype_of(value), rules.size_of(value)
        if dtype.kind not in _KINDS:
            raise CannotGlance
        shaped = [value] if owner is value else [value, owner]  # which may have become smaller, where it is
        pieces += [
            Piece(_SHAPE, rules.dimensions_of(each), 2 * 8 * len(rules.shape_of(each)))
            for each in shaped
            if type(each) is rules.ndarray and rules.shape_of(each)
        ]
        begin, size = rules.extent_of(value)
        if size != bytes_of and (
            type(owner) is not rules.ndarray or size > max(LONG_BYTES - 1, _SPREAD * bytes_of)
        ):
            raise CannotGlance
        pieces.append(Piece(_DATA, begin, size))
        return Made(pieces, _atoms_of(rules, value, dtype) if dtype.hasobject else ())


def _atoms_of(rules: NumpyRules, value: Any, dtype: Any) -> Any:
    """Return the elements of an array of objects, if its memory says it all. Raises :class:`CannotGlance`."""
    if dtype.kind != "O" or rules.size_of(value) >= LONG_BYTES:
        raise CannotGlance
    found = rules.elements_of(value)
    if not atoms.all_short_atoms(found):
        raise CannotGlance
    return found


class Types(Chosen):
    """Looks into dtypes: most of NumPy's own never change, others are told by their text."""

    def __init__(self, dtype: Any, texts: dict[str, str]) -> None:
        read = contents_of(dtype)
        self._text_of, self._number_of = read["str"].__get__, read["isbuiltin"].__get__
        self._others = [read[name].__get__ for name in ("names", "subdtype", "metadata")]
        self._texts = texts

    def takes(self, value: Any) -> bool:
        """Tell whether one may change. Raises :class:`CannotGlance`."""
        if self._number_of(value) == 1:
            return False
        if any(read(value) is not None for read in self._others):
            raise CannotGlance
        return True

    def __call__(self, found: list[Any]) -> tuple[list[Any], list[int]]:
        """Return what dtypes are called."""
        known: dict[int, str] = {}
        parts = []
        for each in found:
            key = identity(each)
            text = known.get(key)
            if text is None:
                if any(read(each) is not None for read in self._others):  # another one at the same address
                    raise CannotGlance
                text = self._text_of(each)
                text = known[key] = self._texts.setdefault(text, text)
            parts.append(text)
        return parts, [1] * len(found)
