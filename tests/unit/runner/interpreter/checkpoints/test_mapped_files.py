"""Files that are written to through a mapping: in file systems in memory only the first write to a page shows."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.runner.interpreter.checkpoints.plane import Plane
from tests.unit.runner.interpreter.harness import Interpreter


@pytest.fixture
def workspace() -> Iterator[Path]:
    """In memory, as in a sandbox."""
    path = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield path
    shutil.rmtree(path)


def test_what_is_written_through_a_mapping_is_saved(
    start: Callable[..., Interpreter], plane: Plane, workspace: Path
):
    """While there is one, and once more after it has ended; then the file is taken over again."""
    interpreter = start(workspace=workspace)
    (workspace / "a").write_bytes(b"old one")
    (workspace / "b").write_bytes(b"another")
    plane.checkpoint(interpreter, "one")
    interpreter.ok("import mmap\nwith open('a', 'r+b') as f: m = mmap.mmap(f.fileno(), 0)\nm[:3] = b'new'")
    second = plane.checkpoint(interpreter, "two")
    assert second.kept_files >= {"b"}
    assert "a" not in second.kept_files
    interpreter.ok("m[4:] = b'two'; m.close()")
    third = plane.checkpoint(interpreter, "three")
    assert "a" not in third.kept_files
    assert "a" in plane.checkpoint(interpreter, "four").kept_files
    target = start()
    assert plane.load(target, third).ok
    assert target.ok("open('a').read()").text == "'new two'"
