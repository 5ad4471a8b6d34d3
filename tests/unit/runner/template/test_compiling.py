"""What the modules of the image are compiled to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sandbank_runner import compiling

SOURCE = '''
"""A docstring that nobody sees."""
from __future__ import annotations
from dataclasses import dataclass

@dataclass
class Data:
    """Data that nobody describes."""
    name: str = "text"

def function(text: str) -> str:
    """What it does."""
    return text
'''


@pytest.mark.parametrize("keep", [False, True])
def test_what_is_compiled_for_the_image_has_no_docstrings_and_annotations_and_does_the_same(
    tmp_path: Path, keep: bool
):
    """Only they are gone, or nothing is; the file counts as it is, whatever becomes of the source."""
    source = tmp_path / "module.py"
    source.write_text(SOURCE)
    target = tmp_path / "__pycache__" / f"module.{sys.implementation.cache_tag}.pyc"
    compiling.compile_module(source, target, docstrings=keep, annotations=keep)
    os.utime(source, (1, 1))
    source.write_text("raise AssertionError('this is not what was compiled')")
    code = "import module as m, json; print(json.dumps([repr(m.Data('x')), m.function('y'), m.Data.__annotations__, "
    code += "len(m.__doc__ + m.Data.__doc__ + m.function.__doc__), bool(m.function.__annotations__)]))"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    shown, result, fields, described, annotated = json.loads(told.stdout)
    assert (shown, result, fields) == ("Data(name='x')", "y", {"name": "str"})
    assert (described > 3) == annotated == keep


def test_the_image_has_what_users_may_ask_for_help_about():
    """What user code finds under its own names keeps its description."""
    folder = Path(compiling.__file__).parent
    assert compiling.is_seen(folder / "interpreter" / "display.py")
    assert compiling.is_seen(folder / "interpreter" / "input" / "stream.py")
    assert not compiling.is_seen(folder / "interpreter" / "changes" / "pages.py")
    assert not compiling.is_seen(folder / "supervisor" / "app.py")
