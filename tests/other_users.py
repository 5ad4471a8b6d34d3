"""Directories of the tests', opened to users who are not the one that runs them."""

from __future__ import annotations

import tempfile
from pathlib import Path


def let_through(directory: Path) -> None:
    """Let everybody pass through what is above a directory, up to the system's own for temporary files.

    For good: tests beside this one may have opened the same.
    """
    for above in directory.parents:
        if Path(tempfile.gettempdir()) in above.parents:
            above.chmod(above.stat().st_mode | 0o111)
