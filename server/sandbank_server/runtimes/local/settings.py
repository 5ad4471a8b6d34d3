"""What an operator decides about local sandboxes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from sandbank_server.runtimes.supervisor import ARGUMENTS


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """``data_dir`` is where the sandboxes' directories are; ``command`` starts a supervisor."""

    data_dir: Path
    command: tuple[str, ...] = (sys.executable, *ARGUMENTS)
