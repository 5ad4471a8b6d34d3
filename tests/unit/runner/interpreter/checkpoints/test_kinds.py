"""Every kind of state: it comes back as it was, or is said to be lost with a reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.runner.interpreter.checkpoints.plane import Plane
from tests.unit.runner.interpreter.checkpoints.zoo import EXACT, LOST, NOT_KEPT
from tests.unit.runner.interpreter.harness import Interpreter
from tests.unit.runner.interpreter.reading.harness import listing


def listed(interpreter: Interpreter) -> dict[str, str | None]:
    """Return why each variable could not be saved, as a listing finds out by trying; "" where it could."""
    found = listing(interpreter, private=True, limit=1000).items
    return {name: item["unsavable"] for name, item in found.items()}


@pytest.mark.parametrize(("make", "holds"), EXACT.values(), ids=EXACT)
def test_exact(
    interpreter: Interpreter,
    plane: Plane,
    start: Callable[..., Interpreter],
    transfer: Callable[[Interpreter], Interpreter],
    make: str,
    holds: str,
):
    """It is as it was, in the session that made it and in the one that it was restored into, and digests say so."""
    interpreter.ok(make)
    assert interpreter.ok(f"bool({holds})").text == "True"
    manifest = plane.checkpoint(interpreter, digests=True)
    assert set(listed(interpreter).values()) <= {""}
    verified = plane.load(start(workspace=interpreter.workspace), manifest, verify=True)
    assert verified.ok, verified
    assert verified.said["differing"] == []
    restored = transfer(interpreter)
    assert restored.ok(f"bool({holds})").text == "True"
    again = transfer(restored)
    assert again.ok(f"bool({holds})").text == "True"


@pytest.mark.parametrize(("make", "reason"), LOST.values(), ids=LOST)
def test_lost(
    interpreter: Interpreter, plane: Plane, start: Callable[..., Interpreter], make: str, reason: str
):
    """It is absent after a restore and named with its reason; its neighbours are there."""
    interpreter.ok(f"before = [1]\n{make}\nafter = [before]")
    manifest = plane.checkpoint(interpreter)
    assert reason in manifest.lost["v"]
    assert {name: said for name, said in listed(interpreter).items() if said} == manifest.lost
    assert {"before", "after"} <= manifest.exact
    restored = start()
    loaded = plane.load(restored, manifest)
    assert loaded.ok
    assert reason in loaded.lost["v"]
    assert restored.ok("'v' in globals(), after[0] is before").text == "(False, True)"


@pytest.mark.parametrize(("make", "before", "after"), NOT_KEPT.values(), ids=NOT_KEPT)
def test_not_kept(
    interpreter: Interpreter,
    transfer: Callable[[Interpreter], Interpreter],
    make: str,
    before: str,
    after: str,
):
    """It is another after a restore, in a way that is documented: nothing else is lost with it."""
    interpreter.ok(make)
    assert interpreter.ok(f"bool({before})").text == "True"
    assert transfer(interpreter).ok(f"bool({after})").text == "True"
