"""How a file or directory is described to the supervisor."""

from __future__ import annotations

import os
import stat
from typing import Any


def entry(path: str, status: os.stat_result, sha256: str = "") -> dict[str, Any]:
    """Return the entry of what is at ``path``; a link is shown as what it is."""
    directory = stat.S_ISDIR(status.st_mode)
    return {
        "path": path,
        "is_directory": directory,
        "size_bytes": 0 if directory else status.st_size,
        "mode": status.st_mode,
        "modify_time_ns": status.st_mtime_ns,
        "sha256": sha256,
    }
