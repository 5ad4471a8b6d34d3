"""The packages of sandboxes that are processes of the host: those of the control plane's own environment."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from sandbank_server.templates.model import Package


@dataclass(frozen=True, slots=True)
class LocalEnvironment:
    """What sandboxes of the local runtime find."""

    python_version: str
    packages: tuple[Package, ...]


def local_environment() -> LocalEnvironment:
    """Return the Python version and the installed packages, sorted by normalised name."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            # The first one on the path is the one that is imported.
            found.setdefault(canonicalize_name(name), distribution.version)
    packages = tuple(Package(name, version) for name, version in sorted(found.items()))
    return LocalEnvironment(platform.python_version(), packages)
