"""Keeps the supervisor small: what it costs, every sandbox costs."""

from __future__ import annotations

import sys
import types
from importlib.util import find_spec

_PURE_PYTHON = (
    "google.protobuf.descriptor_database",
    "google.protobuf.internal.python_edition_defaults",
    "google.protobuf.internal.python_message",
    "google.protobuf.text_encoding",
)


def keep_out() -> None:
    """Have asyncio find no TLS (1 to 4 MB), and protobuf beside its compiled code not the same in Python (1.4 MB).

    To be called before either is imported.
    """
    sys.modules["ssl"] = None  # type: ignore[assignment]
    if find_spec("google._upb") is not None and find_spec("google._upb._message") is not None:
        # Imported by name only; where there is no compiled code they are what does the work.
        for name in _PURE_PYTHON:
            sys.modules.setdefault(name, types.ModuleType(name))
