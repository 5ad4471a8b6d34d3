"""What a sandbox is told at its start: the variable ``SANDBANK_SANDBOX``, JSON, checked field by field.

Fields that are not known are ignored, so that a newer control plane can start an older image.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from sandbank_runner.walls.users import NOBODY, Users

VARIABLE = "SANDBANK_SANDBOX"

Mode = Literal["container", "local"]

LOWEST_OPEN_FILES = 256
"""The interpreter's channel lies on descriptor 250, and a snapshot needs a few more."""


class ConfigError(ValueError):
    """The configuration is missing or malformed; the text names the field."""


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """One sandbox."""

    sandbox_id: str
    mode: Mode
    users: Users | None
    """None in local mode: everything runs as the user that started it."""
    socket_path: str
    workspace: str
    temporary: str = "/tmp"
    """Where user code has its temporary files."""
    preload: tuple[str, ...] = ()
    process_limit: int = 128
    """Processes and threads of user code; not enforced in local mode, where they share the user's count."""
    cpu_count: float = 1.0
    environment: Mapping[str, str] = field(default_factory=dict)
    open_files_limit: int = 1024
    orphan_seconds: float = 86400.0

    def to_message(self) -> dict[str, object]:
        """Return what :func:`parse` takes."""
        users = self.users
        return {
            "sandbox_id": self.sandbox_id,
            "mode": self.mode,
            "users": [users.supervisor, users.template, users.code, users.sleeper] if users else None,
            "socket_path": self.socket_path,
            "workspace": self.workspace,
            "temporary": self.temporary,
            "preload": list(self.preload),
            "process_limit": self.process_limit,
            "cpu_count": self.cpu_count,
            "environment": dict(self.environment),
            "open_files_limit": self.open_files_limit,
            "orphan_seconds": self.orphan_seconds,
        }


def take_from_environment(environment: MutableMapping[str, str] = os.environ) -> SandboxConfig:
    """Remove the variable from ``environment`` and return what it says. Raises :class:`ConfigError`."""
    text = environment.pop(VARIABLE, None)
    if text is None:
        raise ConfigError(f"{VARIABLE} is not set")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{VARIABLE} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{VARIABLE} is no JSON object")
    return parse(value)


def parse(value: Mapping[str, Any]) -> SandboxConfig:
    """Return the configuration that ``value`` describes. Raises :class:`ConfigError`."""
    mode = _text(value, "mode")
    if mode not in ("container", "local"):
        raise ConfigError(f"mode must be container or local, not {mode!r}")
    return SandboxConfig(
        sandbox_id=_text(value, "sandbox_id"),
        mode=cast("Mode", mode),
        users=_users(value) if mode == "container" else None,
        socket_path=_path(value, "socket_path"),
        workspace=_path(value, "workspace"),
        temporary=_path(value, "temporary", "/tmp"),
        preload=_names(value, "preload"),
        process_limit=_whole(value, "process_limit", 128, lowest=1),
        cpu_count=_number(value, "cpu_count", 1.0),
        environment=_environment(value),
        open_files_limit=_whole(value, "open_files_limit", 1024, lowest=LOWEST_OPEN_FILES),
        orphan_seconds=_number(value, "orphan_seconds", 86400.0),
    )


def _text(value: Mapping[str, Any], key: str, default: str | None = None) -> str:
    found = value.get(key, default)
    if not isinstance(found, str) or not found or "\0" in found:
        raise ConfigError(f"{key} must be a non-empty string without null characters")
    return found


def _path(value: Mapping[str, Any], key: str, default: str | None = None) -> str:
    found = _text(value, key, default)
    if not os.path.isabs(found):
        raise ConfigError(f"{key} must be an absolute path, not {found!r}")
    return found


def _whole(value: Mapping[str, Any], key: str, default: int, *, lowest: int) -> int:
    found = value.get(key, default)
    if type(found) is not int or not lowest <= found <= 2**22:
        raise ConfigError(f"{key} must be a whole number from {lowest} to {2**22}")
    return found


def _number(value: Mapping[str, Any], key: str, default: float) -> float:
    found = value.get(key, default)
    if type(found) not in (int, float) or not math.isfinite(found) or found <= 0:
        raise ConfigError(f"{key} must be a number above zero")
    return float(found)


def _names(value: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = value.get(key, [])
    if not isinstance(found, list) or not all(
        isinstance(name, str) and name and all(part.isidentifier() for part in name.split("."))
        for name in found
    ):
        raise ConfigError(f"{key} must be a list of module names")
    return tuple(found)


def _environment(value: Mapping[str, Any]) -> dict[str, str]:
    found = value.get("environment", {})
    if not isinstance(found, dict):
        raise ConfigError("environment must be an object")
    for name, text in found.items():
        if not name or "=" in name or "\0" in name or not isinstance(text, str) or "\0" in text:
            raise ConfigError(f"environment must map names to strings without null characters: {name!r}")
    return dict(found)


def _users(value: Mapping[str, Any]) -> Users:
    found = value.get("users")
    if not isinstance(found, list) or len(found) != 4 or not all(type(uid) is int for uid in found):
        raise ConfigError("users must be four uids")
    if len(set(found)) != 4 or NOBODY in found or not all(0 < uid < 2**32 - 1 for uid in found):
        raise ConfigError("users must be four different uids, none of them 0 or nobody")
    return Users(*found)
