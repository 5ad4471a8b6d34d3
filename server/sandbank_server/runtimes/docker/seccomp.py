"""The seccomp profile that comes with the runner."""

from __future__ import annotations

import json
from pathlib import Path

import sandbank_runner

from sandbank_server.runtimes.base import RuntimeUnavailable


def shipped_profile() -> Path:
    """Return where the profile is: inside an installed package, beside it in a checkout."""
    package = Path(sandbank_runner.__file__).parent
    installed = package / "image" / "seccomp.json"
    return installed if installed.is_file() else package.parent / "seccomp.json"


def read_profile(path: Path | None) -> str:
    """Return a profile's JSON, compact; None is the shipped one. Raises :class:`RuntimeUnavailable`.

    The engine takes the profile's content, not a path: it need not see this file system.
    """
    path = path or shipped_profile()
    try:
        profile = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RuntimeUnavailable(f"cannot read the seccomp profile {path}: {error}") from error
    if not isinstance(profile, dict) or "defaultAction" not in profile:
        raise RuntimeUnavailable(f"{path} is no seccomp profile: it has no defaultAction")
    return json.dumps(profile, separators=(",", ":"))
