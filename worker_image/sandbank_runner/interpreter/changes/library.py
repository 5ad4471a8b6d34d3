"""What a glance looks into of the data libraries, by type. What cannot be looked at so is walked."""

from __future__ import annotations

import datetime
from typing import Any, Final

from sandbank_runner.interpreter.changes import array_parts, code, instances, table_parts
from sandbank_runner.interpreter.changes.imprints import CannotGlance, Chosen, Evident
from sandbank_runner.interpreter.changes.numpy_rules import numpy_rules
from sandbank_runner.interpreter.changes.walk import Buffers
from sandbank_runner.interpreter.reading.kinds import derives, genuine
from sandbank_runner.interpreter.sealed import seal

seal(globals())

_SCALARS: Final = frozenset(["void", "object_", "str_", "bytes_"])
"""Of NumPy's, those that can be changed or be large."""
_FIXED: Final = (("pandas._libs.missing", "NAType"), ("pandas._libs.tslibs.nattype", "NaTType"))
"""What never changes."""
_OFFSETS: Final = "pandas._libs.tslibs.offsets"
_STEPS: Final = frozenset([
    "Day", "Hour", "Minute", "Second", "Milli", "Micro", "Nano", "Week", "MonthEnd", "MonthBegin", "QuarterEnd",
    "QuarterBegin", "YearEnd", "YearBegin",
])  # fmt: skip
"""Of pandas: whose state is numbers."""


class Library:
    """Knows how to look into what, for one glance."""

    def __init__(self, buffers: Buffers) -> None:
        self._is_alone = buffers.has_tables
        self._known: dict[int, tuple[Any, Any]] = {}
        self._texts: dict[str, str] = {}

    def how(self, value: Any, kind: Any, key: int) -> Any:
        """Return how to look into an object, None where it never changes. Raises :class:`CannotGlance`."""
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._made(kind), kind
        how = known[0]
        if isinstance(how, Evident) and not self._is_alone:
            raise CannotGlance
        if isinstance(how, Chosen) and not how.takes(value):
            return None
        return how

    def _made(self, kind: Any) -> Any:
        rules = numpy_rules()
        if rules is not None:
            if kind is rules.ndarray:
                return array_parts.Arrays(rules)
            if derives(kind, rules.generic):
                return _check_scalar(kind)
            if derives(kind, rules.dtype) and not instances.is_python(kind):
                return array_parts.Types(rules.dtype, self._texts)
        if kind is datetime.timezone:
            return None
        if kind is genuine("zoneinfo", "ZoneInfo") and not instances.is_python(kind):
            return None
        if kind is genuine("pyarrow", "ChunkedArray"):
            return table_parts.Columns(kind)
        return (
            _of_pandas(kind) if genuine("pandas", "DataFrame") is not None else table_parts.instances_of(kind)
        )


def _check_scalar(kind: Any) -> None:
    """See to it that instances of a type of NumPy's never change."""
    name = code.qualname_of(kind)
    if genuine("numpy", name) is not kind or name in _SCALARS or instances.is_python(kind):
        raise CannotGlance


def _of_pandas(kind: Any) -> Any:
    if any(kind is genuine(*name) for name in _FIXED):
        return None
    if kind is genuine("pandas._libs.internals", "BlockPlacement"):
        return table_parts.placements
    name = code.qualname_of(kind)
    if name in _STEPS and kind is genuine(_OFFSETS, name):
        return table_parts.Solids(kind)
    return table_parts.instances_of(kind)
