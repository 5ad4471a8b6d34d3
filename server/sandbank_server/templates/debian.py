"""A Debian root file system from the distribution's packages, for machines that no image registry answers."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
from pathlib import Path

from sandbank_server.templates.commands import run_command
from sandbank_server.templates.errors import TemplateBuildError
from sandbank_server.templates.progress import BuildWatch

SUITE = "trixie"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# What the image python:3.13-slim-trixie holds besides Debian's minimum.
_PACKAGES = ("python3", "python3-venv", "ca-certificates", "netbase", "tzdata")
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
_BUILD_SECONDS = 900.0
_INSTALL_SECONDS = 600.0


def make_root_file_system(archive: Path, *, architecture: str, mirror: str, watch: BuildWatch) -> None:
    """Write a tar archive of Debian 13 with Python 3.13 for ``architecture`` (``x86_64`` or ``aarch64``).

    ``mirror`` is the address of a Debian mirror, or empty for Debian's own. Raises
    :class:`TemplateBuildError`, which names what is missing where it cannot be installed.
    """
    if platform.machine() != architecture:
        raise TemplateBuildError(
            f"no registry answers, and a base image for {architecture} cannot be made on "
            f"{platform.machine()}: give the template a `base` that the engine has"
        )
    _require_mmdebstrap(watch)
    excluded = (f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT)
    run_command(
        [
            "mmdebstrap",
            "--variant=apt",
            f"--architectures={_ARCHITECTURES[architecture]}",
            f"--include={','.join(_PACKAGES)}",
            *excluded,
            "--dpkgopt=path-include=/usr/share/doc/*/copyright",
            "--format=tar",
            SUITE,
            str(archive),
            *([mirror] if mirror else []),
        ],
        what="making a base image from Debian's packages",
        watch=watch,
        timeout=_BUILD_SECONDS,
    )


def _require_mmdebstrap(watch: BuildWatch) -> None:
    """Install mmdebstrap where it is missing, or say what to do."""
    # Debian's keys come with it on Debian; on Ubuntu they are a package of their own.
    packages = ["mmdebstrap", "debian-archive-keyring"]
    keys = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if shutil.which("mmdebstrap") and keys.exists():
        return
    if shutil.which("apt-get") is None:
        raise TemplateBuildError(
            "no registry answers for the base image, and without mmdebstrap none can be made: "
            "install mmdebstrap and Debian's archive keys, or give the template a `base` that the engine has"
        )
    if os.geteuid() != 0:
        raise TemplateBuildError(
            "no registry answers for the base image, and without mmdebstrap none can be made. Run, as root:  "
            f"apt-get update && apt-get install {' '.join(packages)}"
        )
    with contextlib.suppress(TemplateBuildError):  # one dead source among many must not stop the rest
        _apt("update", watch=watch)
    _apt("install", "--no-install-recommends", *packages, watch=watch)


def _apt(*arguments: str, watch: BuildWatch) -> None:
    """Run apt-get without questions, waiting for another one that holds its lock."""
    run_command(
        ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3", *arguments],
        what="installing mmdebstrap",
        watch=watch,
        timeout=_INSTALL_SECONDS,
        environment={"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"},
    )
