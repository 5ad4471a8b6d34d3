"""The report of an operation's changes, as it is told to the supervisor."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from sandbank_runner.interpreter.changes import limits
from sandbank_runner.interpreter.changes.describing import Describer
from sandbank_runner.interpreter.changes.tracker import Difference, Tracker
from sandbank_runner.interpreter.sealed import give_back, put_back, seal

if TYPE_CHECKING:
    from sandbank_runner.interpreter.parallel.operation import NamespaceOperation

seal(globals())

_gc_disable, _gc_enable, _gc_isenabled = gc.disable, gc.enable, gc.isenabled
_T = TypeVar("_T")


class Wanted(NamedTuple):
    """What a report is to hold."""

    changes: int
    """At most."""
    characters: int
    """Of a preview."""

    @classmethod
    def of(cls, header: dict[str, Any]) -> Wanted | None:
        """Return what the ``execute`` of an operation asks for; None: no report."""
        if header.get("report_changes", True) is not True:
            return None
        return cls(
            header.get("change_count") or limits.NAMES,
            header.get("preview_characters") or limits.PREVIEW_CHARACTERS,
        )


_NOTHING: Final = Wanted(0, 0)


class Changes:
    """The change reports of one session."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._tracker = Tracker(names)
        self._describer = Describer(names)
        self._is_known = True
        """What the tracker remembers is what the session was before the operation."""

    def begin(self, wanted: Wanted | None) -> None:
        """An operation is about to begin. Where nobody looked at what the one before it did, look now."""
        if wanted is not None and not self._is_known:
            self._is_known = True
            self._report(self._tracker.compare, _NOTHING)

    def forget(self) -> None:
        """The variables were changed by something that is nobody's to report."""
        self._is_known = False

    def end(self, wanted: Wanted | None) -> dict[str, Any]:
        """An operation has ended: return ``changes`` and ``changes_truncated``, nothing where no report is wanted."""
        if wanted is None:
            self._is_known = False
            return {}
        return self._report(self._tracker.compare, wanted)

    def end_beside(
        self, wanted: Wanted | None, operation: NamespaceOperation, *, others: bool
    ) -> dict[str, Any]:
        """Do the same for a namespace operation. While ``others`` run, only what it is known to have touched counts."""
        if wanted is None:
            self._is_known = False
            return {}
        if not others:
            return self.end(wanted)
        touched = {*operation.touched, *operation.mutated, *operation.written}
        return self._report(lambda: self._tracker.compare_some(touched), wanted)

    def _report(self, compare: Callable[[], list[Difference]], wanted: Wanted) -> dict[str, Any]:
        try:
            return _undisturbed(lambda: self._told(compare(), wanted))
        except Exception:  # an audit hook of the user's forbids to look; or there is no memory left
            self._is_known = False
            return {"changes": [], "changes_truncated": True}

    def _told(self, found: list[Difference], wanted: Wanted) -> dict[str, Any]:
        told = [self._describer.describe(each, wanted.characters) for each in found[: wanted.changes]]
        return {"changes": told, "changes_truncated": len(found) > wanted.changes}


def _undisturbed(work: Callable[[], _T]) -> _T:
    """Do ``work`` with the original builtins, and while nothing is collected: finalizers are code of the user's."""
    changed = put_back()
    collecting = _gc_isenabled()
    _gc_disable()
    try:
        return work()
    finally:
        if collecting:
            _gc_enable()
        give_back(changed)
