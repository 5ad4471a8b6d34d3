"""How a supervisor ends."""

from __future__ import annotations

from dataclasses import dataclass

EXIT_CONFIG = 64
"""The configuration is missing or wrong, or this process cannot become a supervisor."""
EXIT_PRELOAD = 70
"""A module could not be preloaded."""
EXIT_CRASH_LOOP = 71
"""No interpreter stays alive."""
EXIT_TEMPLATE = 72
"""The template process died, so that no interpreter can be had any more."""


@dataclass(frozen=True, slots=True)
class End:
    """The exit code, 0 where the end was asked for, and a sentence for the engine's log or nothing."""

    code: int
    message: str = ""
