"""Keeps the supervisor small: what it costs, every sandbox costs."""

from __future__ import annotations

import sys
import types
from importlib.util import find_spec

_PURE_PYTHON = "google.protobuf.internal.python_message"


def keep_out() -> None:
    """Have asyncio find no TLS (1 to 4 MB), and protobuf beside its compiled code not the same in Python (1 MB).

    To be called before either is imported.
    """
    sys.modules["ssl"] = None  # type: ignore[assignment]
    if find_spec("google._upb") is not None and find_spec("google._upb._message") is not None:
        # Imported by name only; where there is no compiled code it is what does the work.
        sys.modules.setdefault(_PURE_PYTHON, types.ModuleType(_PURE_PYTHON))
