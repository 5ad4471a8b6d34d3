"""What the kernel knows of this process that is evidence for what an operation can have written to."""

from __future__ import annotations

from sandbank_runner.interpreter.sealed import seal
from sandbank_runner.interpreter.snapshots.kernel import contents

seal(globals())


def thread_count() -> int:
    """Return how many threads there are, those that Python does not list included. Raises OSError."""
    return int(contents(b"/proc/self/stat").rsplit(b")", 1)[1].split()[17])
