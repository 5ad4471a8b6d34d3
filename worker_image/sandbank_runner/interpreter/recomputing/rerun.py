"""Makes lost variables anew, right after a restore, in the interpreter that has taken the state."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from sandbank_runner.interpreter.reading.kinds import type_name
from sandbank_runner.interpreter.reading.patience import Patience, TookTooLong
from sandbank_runner.interpreter.recomputing.analysis import Analysis, UnsureError
from sandbank_runner.interpreter.recomputing.recorder import CODE_CHARACTERS, Recipe
from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.signals import setsignal

seal(globals())

ONE_SECONDS: Final = 5.0
ALL_SECONDS: Final = 10.0
"""All of one restore's reruns; then the rest is lost."""
_monotonic = time.monotonic
_exec = exec


class Rerun:
    """Reruns recipes. ``wanted`` are the variables that a checkpoint promises to be made anew, with their types."""

    def __init__(
        self, names: dict[str, Any], run_in_context: Callable[..., Any], wanted: dict[str, str]
    ) -> None:
        self.made: list[str] = []
        self.recipes: list[Recipe] = []
        """Those that were rerun."""
        self.lost: dict[str, str] = {}
        self._names = names
        self._run_in_context = run_in_context
        self._wanted = wanted

    def run_all(self, recipes: Iterable[Recipe]) -> None:
        """Rerun what is needed, oldest first. What has no recipe, or whose recipe fails, is in ``lost``."""
        end = _monotonic() + ALL_SECONDS
        before = _signal.getsignal(_signal.SIGALRM)
        patience = Patience(None)
        try:
            for recipe in recipes:
                if all(name in self._wanted for name in recipe.makes):
                    reason = self._run(recipe, patience, min(ONE_SECONDS, end - _monotonic()))
                    if reason:
                        self.lost.update((name, f"it was not made anew: {reason}") for name in recipe.makes)
        finally:
            setsignal(_signal.SIGALRM, before)

    def finish(self) -> None:
        """Take for lost what was not made."""
        for name in self._wanted:
            if name not in self.made and name not in self.lost:
                self.lost[name] = "it was not made anew: this session does not recompute, or how is not known"

    def _run(self, recipe: Recipe, patience: Patience, seconds: float) -> str:
        """Rerun one; return why it could not be, or nothing. Names that it binds on the way are as they were."""
        try:
            found = self._look_at(recipe)
        except Exception as error:
            return str(error)[:300]
        if seconds <= 0:
            return "it would take too long"
        names = self._names
        before = dict(names)
        code = found.code.replace(co_filename=f"<cell {recipe.execution_count}>")
        try:
            patience.call(self._run_in_context, _exec, code, names, seconds=seconds)
            reason = self._check(recipe)
        except TookTooLong:
            reason = "it took too long"
        except Exception as error:
            reason = f"its code failed: {type(error).__name__}"
        self._tidy(before, frozenset() if reason else frozenset(recipe.makes))
        if not reason:
            self.made += recipe.makes
            self.recipes.append(recipe)
        return reason

    def _look_at(self, recipe: Recipe) -> Analysis:
        """Look at the code again, here, where it is to run."""
        missing = [name for name in recipe.reads if name not in self._names]
        if missing:
            raise UnsureError(f"{missing[0]} is not there")
        if len(recipe.code) > CODE_CHARACTERS:
            raise UnsureError("its code is too long")
        found = Analysis(recipe.code, self._names, frozenset(self.made))
        if not found.reads - found.binds <= {*recipe.reads}:
            raise UnsureError("its code reads more than it did")
        return found

    def _tidy(self, before: dict[str, Any], kept: frozenset[str]) -> None:
        names = self._names
        for name in [*names]:
            if name not in kept and name not in before:
                del names[name]
        for name, value in before.items():
            if name not in kept:
                names[name] = value

    def _check(self, recipe: Recipe) -> str:
        for name in recipe.makes:
            if name not in self._names or type_name(self._names[name]) != self._wanted[name]:
                return f"its code does not make {name} any more"
        return ""
