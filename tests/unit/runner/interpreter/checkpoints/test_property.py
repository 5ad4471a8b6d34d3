"""Random programs, saved and restored in between: the state is what the same operations make that were never saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, example, given, settings

from tests.state_programs import CANONICAL, SETUP, Restore, Run, Save, Step, canonical_after, programs
from tests.unit.runner.interpreter.checkpoints.plane import Manifest, Plane
from tests.unit.runner.interpreter.harness import Interpreter, Template

_SETTINGS = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    "print_blob": True,
}


class Player:
    """Plays one program."""

    def __init__(self, start: Callable[[], Interpreter]) -> None:
        self._start = start
        self._plane = Plane()
        self._count = 0
        self._history: list[str] = []
        self._saved: tuple[Manifest, list[str]] | None = None
        self._live = start()
        self._live.ok(SETUP)
        self._live.ok(CANONICAL)

    def play(self, program: list[Step]) -> None:
        """Do all steps; then save once more, as a difference and in full, and load both."""
        for step in program:
            if isinstance(step, Run):
                self._live.run(step.code)
                self._history.append(step.code)
            elif isinstance(step, Save):
                self._save(self._plane, durable=step.durable)
            elif isinstance(step, Restore) and self._saved is not None:
                manifest, self._history = self._saved[0], list(self._saved[1])
                self._live.close()
                self._live = self._loaded(self._plane, manifest)
            self._compare(self._live)
        full = Plane()
        in_full = self._save(full, durable=False)
        assert not in_full.kept
        self._compare(self._loaded(full, in_full))
        self._compare(self._loaded(self._plane, self._save(self._plane)))

    def _save(self, plane: Plane, *, durable: bool = True) -> Manifest:
        self._count += 1
        manifest = plane.checkpoint(self._live, f"checkpoint-{self._count}", durable=durable, digests=True)
        assert manifest.lost == {}
        if plane is self._plane and durable:
            self._saved = manifest, list(self._history)
        return manifest

    def _loaded(self, plane: Plane, manifest: Manifest) -> Interpreter:
        """Verify a checkpoint in one fresh interpreter and restore it into another."""
        verified = plane.load(self._start(), manifest, verify=True)
        assert verified.ok, verified
        assert verified.said["differing"] == []
        fresh = self._start()
        loaded = plane.load(fresh, manifest, checkpoint_id=manifest.checkpoint_id)
        assert loaded.ok, loaded
        return fresh

    def _compare(self, interpreter: Interpreter) -> None:
        told = interpreter.ok("canonical()")
        assert told.text == repr(canonical_after(self._history))


@pytest.fixture
def play(template: Template) -> Iterator[Callable[[list[Step]], None]]:
    """Play programs, each from a pristine session on."""

    def play(program: list[Step]) -> None:
        started: list[Interpreter] = []
        with TemporaryDirectory() as directory:

            def start() -> Interpreter:
                workspace = Path(directory, str(len(started)))
                workspace.mkdir()
                started.append(Interpreter(template, workspace))
                return started[-1]

            try:
                Player(start).play(program)
            finally:
                for interpreter in started:
                    if interpreter.status is None:
                        interpreter.close()

    return play


@settings(max_examples=60, **_SETTINGS)  # type: ignore[arg-type]
@given(program=programs)
@example(
    [Save(True), Run("a = 0\na, b = pair()\nObj.total.append(a)")]
)  # who needed whom is the other way round now
def test_what_is_restored_is_what_was_saved(play: Callable[[list[Step]], None], program: list[Step]):
    """After each step and each restore; a difference to the last checkpoint holds what a full one does."""
    play(program)


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(max_examples=1000, **_SETTINGS)  # type: ignore[arg-type]
@given(program=programs)
def test_what_is_restored_is_what_was_saved_over_many_programs(
    play: Callable[[list[Step]], None], program: list[Step]
):
    """The same, many more."""
    play(program)
