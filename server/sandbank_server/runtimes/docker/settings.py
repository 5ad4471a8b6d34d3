"""What an operator decides about the containers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_ENGINE = "unix:///var/run/docker.sock"
"""Where an engine listens unless told otherwise."""


@dataclass(frozen=True, slots=True)
class DockerSettings:
    """Settings of one installation's containers.

    ``installation`` tells the containers of this control plane from those of others on the same engine.
    ``data_dir`` is absolute and the same path for the engine. ``engine_url`` is a Unix socket: sandboxes are
    reached through directories of this host. ``oci_runtime`` is a name that the engine knows, such as
    ``runsc``; None is the engine's default. Each sandbox gets four users of its own from ``first_uid`` on,
    so ``uid_count / 4`` sandboxes can live at once. ``call_seconds`` is how long the engine may think about
    one call, ``parallel_calls`` how many calls it gets at once. ``entrypoint`` None is the image's own.
    """

    installation: str
    data_dir: Path
    engine_url: str = DEFAULT_ENGINE
    oci_runtime: str | None = None
    first_uid: int = 200_000
    uid_count: int = 40_000
    seccomp_profile: Path | None = None
    entrypoint: tuple[str, ...] | None = None
    open_files_limit: int = 4096
    call_seconds: float = 30.0
    parallel_calls: int = 8
