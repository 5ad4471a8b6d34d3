"""The report of an operation's changes, as it is told to the supervisor."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sandbank_runner.interpreter.changes import limits
from sandbank_runner.interpreter.changes.describing import Describer
from sandbank_runner.interpreter.changes.ledger import Ledger
from sandbank_runner.interpreter.changes.pages import is_alone, mark
from sandbank_runner.interpreter.changes.tracker import Difference, Kind, Tracker
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


class Changes:
    """The change reports of one session."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._tracker = Tracker(names)
        self._describer = Describer(names)
        self._is_known = True
        """What was told last is what the session was before the operation that runs, or is to run."""
        self._is_seen = True
        """What was seen last is what the session is, but for what other threads do."""
        self._was_alone = True
        """There was one thread when the last operation ended, so there is none but that since."""
        self.last: list[Difference] | None = None
        """What was reported last, all of it; None: nothing, or nobody knows."""
        self._is_blind = False
        """The last look has failed."""
        self._holds = False
        """The collector is held back."""
        self.ledger = Ledger(self._look, lambda: self._is_seen and self._was_alone, self._forget)

    def begin(self, wanted: Wanted | None) -> None:
        """An operation is about to begin. Where none was reported of the one before it, that is not this one's."""
        if wanted is not None and not self._is_known:
            found = self._look()
            if found is None:
                self.ledger.lose_count()
            else:
                self.ledger.note(found)
            _undisturbed(self._tracker.report)
            self._is_known = True
        if self._is_seen:  # else what was written since could pass for untouched after the next fork
            mark()
        self._is_seen = False
        self._release()

    def end(self, wanted: Wanted | None) -> dict[str, Any]:
        """An operation has ended: return ``changes`` and ``changes_truncated``, nothing where no report is wanted."""
        if wanted is None:
            self._is_known = False
            self._was_alone = is_alone()
            self.last = None
            return {}
        self._hold()
        self._was_alone = self._look() is not None
        if not self._was_alone:
            self._release()
        return self._failed() if self._is_blind else self._told(wanted)

    @property
    def was_alone(self) -> bool:
        """Tell whether nothing but the last operation can have changed what was reported of it."""
        return self._was_alone

    def end_beside(
        self, wanted: Wanted | None, operation: NamespaceOperation, *, others: bool
    ) -> dict[str, Any]:
        """Do the same for a namespace operation. While ``others`` run, only what it is known to have touched counts."""
        if wanted is None or not others:
            return self.end(wanted)
        touched = {*operation.touched, *operation.mutated, *operation.written}
        self._was_alone = False  # what else it may have changed is not looked for now
        return self._look_at(touched, wanted)

    def binding(self, name: str) -> None:
        """A name is about to be bound from outside, between two operations."""
        self.begin(None)
        if not self._is_known:  # what it is now was not told, and is not what binding changes
            self._look_at([name], Wanted(0, 0))

    def bound(self, name: str, characters: int) -> dict[str, Any] | None:
        """Return the change that binding has made, None where the value is as it was."""
        found = self._look_at([name], Wanted(limits.NAMES, characters))
        for change in found["changes"]:
            if change["name"] == name:
                told: dict[str, Any] = change
                return told
        if found["changes_truncated"]:
            return {"name": name, "kind": int(Kind.MODIFIED), "detail": "could not be compared"}
        return None

    def _hold(self) -> None:
        """Have nothing collected until the next operation: finalizers would write to what was looked at."""
        if _gc_isenabled():
            _gc_disable()
            self._holds = True

    def _release(self) -> None:
        if self._holds:
            self._holds = False
            _gc_enable()

    def _forget(self) -> None:
        self._is_known = self._is_seen = False

    def _look_at(self, names: Iterable[str], wanted: Wanted) -> dict[str, Any]:
        try:
            _undisturbed(lambda: self._tracker.look_at(names))
        except Exception:
            return self._failed()
        return self._told(wanted)

    def _told(self, wanted: Wanted) -> dict[str, Any]:
        def describe() -> dict[str, Any]:
            found = self.last = self._tracker.report()
            self.ledger.note(difference.name for difference in found)
            told = [self._describer.describe(each, wanted.characters) for each in found[: wanted.changes]]
            return {"changes": told, "changes_truncated": len(found) > wanted.changes}

        try:
            return _undisturbed(describe)
        except Exception:
            return self._failed()

    def _failed(self) -> dict[str, Any]:
        """Tell that nothing can be told: an audit hook of the user's forbids to look, or there is no memory left."""
        self._is_seen = self._is_known = False
        self.last = None
        self.ledger.lose_count()
        return {"changes": [], "changes_truncated": True}

    def _look(self) -> Collection[str] | None:
        """Return the names that have changed since the last look, None where others may be changing them now."""
        alone = is_alone()
        try:
            is_seen = self._is_seen and alone
            found = set() if is_seen else _undisturbed(lambda: self._tracker.look(alone=alone))
        except Exception:
            self._is_seen, self._is_blind = False, True
            return None
        self._is_seen, self._is_blind = alone, False
        return found if alone else None


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
