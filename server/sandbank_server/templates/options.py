"""Where a build works and where it looks; the same for all templates of an installation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """Settings of all builds.

    ``cache_directory`` holds wheels, locks and notes for later builds; it may be emptied at any time.
    ``installation`` marks the images that this installation built: it removes only its own. Where a
    registry answers within ``registry_seconds``, ``registry_image`` is fetched as the standard base; where
    none does, it is made from the packages of ``debian_mirror`` (empty: Debian's own).
    """

    cache_directory: Path
    installation: str = "default"
    registry_image: str = "python:3.13-slim-trixie"
    registry_seconds: float = 10.0
    debian_mirror: str = ""


def default_cache_directory(environment: Mapping[str, str]) -> Path:
    """Return the user's cache folder for Sandbank: ``$XDG_CACHE_HOME/sandbank`` or ``~/.cache/sandbank``."""
    base = environment.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):
        return Path(base) / "sandbank"
    home = environment.get("HOME", "")
    return Path(home if os.path.isabs(home) else "/var/cache") / (".cache/sandbank" if home else "sandbank")
