"""What the data libraries make: it comes back as it was, or is said to be lost with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.unit.runner.interpreter.checkpoints.plane import Plane
from tests.unit.runner.interpreter.checkpoints.zoo import DATA, DATA_LOST
from tests.unit.runner.interpreter.checkpoints.zoo.together import looking, making, name_of, parts
from tests.unit.runner.interpreter.conftest import environment
from tests.unit.runner.interpreter.harness import Interpreter, Template

LIBRARIES = ("IPython.core.interactiveshell", "pandas", "pyarrow.parquet", "matplotlib.pyplot")
Start = Callable[..., Interpreter]


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    """A template with the libraries."""
    process = Template(environment(tmp_path_factory.mktemp("template")), LIBRARIES)
    yield process
    process.close()


def test_exact(start: Start, plane: Plane, libraries: Template):
    """Each kind is as it was in the session that it was restored into, and digests say so."""
    interpreter = start(libraries)
    for some in parts(DATA):
        interpreter.ok(making(some))
        assert interpreter.ok(looking(some)).json == []
    manifest = plane.checkpoint(interpreter, digests=True)
    assert manifest.lost == {}
    verified = plane.load(start(libraries, workspace=interpreter.workspace), manifest, verify=True)
    assert verified.ok, verified
    assert verified.said["differing"] == []
    restored = start(libraries)
    loaded = plane.load(restored, manifest)
    assert loaded.ok, loaded
    assert loaded.lost == {}
    for some in parts(DATA):
        assert restored.ok(looking(some)).json == []


def test_lost(start: Start, plane: Plane, libraries: Template):
    """Each is absent after a restore and named with its reason; its neighbours are there."""
    kinds = {kind: (f"before = [1]\n{make}\nafter = [before]", "") for kind, (make, _) in DATA_LOST.items()}
    interpreter = start(libraries)
    for some in parts(kinds):
        interpreter.ok(making(some))
    manifest = plane.checkpoint(interpreter)
    restored = start(libraries)
    loaded = plane.load(restored, manifest)
    assert loaded.ok
    for kind, (_, reason) in DATA_LOST.items():
        assert reason in manifest.lost[name_of(kind, "v")]
        assert reason in loaded.lost[name_of(kind, "v")]
        assert {name_of(kind, "before"), name_of(kind, "after")} <= manifest.exact
    there = dict.fromkeys(DATA_LOST, ("", "'v' not in globals() and after[0] is before"))
    assert restored.ok(looking(there)).json == []
