"""What is remembered of operations that made what no checkpoint can save."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final, NamedTuple

from sandbank_runner.interpreter.recomputing.allowed import begin, is_module, is_part
from sandbank_runner.interpreter.recomputing.analysis import Analysis
from sandbank_runner.interpreter.sealed import seal

seal(globals())

RECIPES: Final = "recompute"
"""Where a manifest has them, in what the loader gets back as it was written."""
CODE_CHARACTERS: Final = 16_384
MOST: Final = 64
"""Operations that are remembered."""
SECONDS: Final = 1.0
"""What took longer is not rerun: a restore would take as long."""


class Recipe(NamedTuple):
    """How variables were made."""

    code: str
    makes: tuple[str, ...]
    reads: tuple[str, ...]
    execution_count: int

    def packed(self) -> dict[str, Any]:
        """Return it for a manifest."""
        return {
            "code": self.code,
            "makes": list(self.makes),
            "reads": list(self.reads),
            "execution_count": self.execution_count,
        }

    @classmethod
    def unpacked(cls, told: Any) -> Recipe:
        """Read one from a manifest. Raises what such data can raise."""
        return cls(
            str(told["code"])[: CODE_CHARACTERS + 1],
            tuple(str(name) for name in told["makes"]),
            tuple(str(name) for name in told["reads"]),
            int(told["execution_count"]),
        )


class Change(NamedTuple):
    """What an operation did to one name."""

    name: str
    is_new: bool
    is_known: bool
    """It was compared, and the name is still there."""
    has_no_pickle: bool


class Recorder:
    """The recipes of one session, oldest first. A recipe lasts until what it reads or has made changes."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.is_on = False
        self._names = names
        self._recipes: list[Recipe] = []

    def turn_on(self) -> None:
        """Begin to record. To be called before user code runs."""
        begin()
        self.is_on = True

    @property
    def recipes(self) -> list[Recipe]:
        """Those that could be rerun now."""
        return [*self._recipes]

    def forget(self, names: Iterable[str] | None) -> None:
        """Names have changed, or may have; None: any may."""
        changed = None if names is None else frozenset(names)
        if not self._recipes or (changed is not None and not changed):
            return
        kept: list[Recipe] = []
        gone: set[str] = set()
        for recipe in self._recipes:
            touched = {*recipe.makes, *recipe.reads}
            if changed is None or not changed.isdisjoint(touched) or not gone.isdisjoint(touched):
                gone.update(recipe.makes)  # what is made of them cannot be made either
            else:
                kept.append(recipe)
        self._recipes = kept

    def ran(self, source: bytes, execution_count: int, changes: Collection[Change]) -> None:
        """Note down an operation that succeeded and wrote no files; ``changes`` are all of its own."""
        makes = frozenset(change.name for change in changes if change.has_no_pickle and change.is_known)
        if not self.is_on or not makes or len(source) > CODE_CHARACTERS or len(self._recipes) >= MOST:
            return
        known = frozenset(name for recipe in self._recipes for name in recipe.makes)
        try:
            text = source.decode()
            found = Analysis(text, self._names, known)
        except Exception:  # no plain Python, not known to be safe, an audit hook of the user's
            return
        if self._is_whole(found, changes, makes):
            self._recipes.append(
                Recipe(text, tuple(sorted(makes)), tuple(sorted(found.reads - found.binds)), execution_count)
            )

    def adopt(self, recipes: Iterable[Recipe]) -> None:
        """Remember what was made anew at a restore: the next checkpoint may need it too."""
        if self.is_on:
            self._recipes += recipes

    def _is_whole(self, found: Analysis, changes: Collection[Change], makes: frozenset[str]) -> bool:
        """Tell whether the code did nothing but bind names anew, and all that it made is to be made anew together."""
        changed = frozenset(change.name for change in changes)
        if not found.binds <= changed or not changed <= found.binds:
            return False
        for change in changes:
            if not change.is_known or (change.name in found.reads and not change.is_new):
                return False
            value = self._names.get(change.name)
            if change.name not in makes and not (is_module(value) or is_part(value)):
                return False
        return True
