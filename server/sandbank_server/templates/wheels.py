"""Downloads the wheels of a lock for an image's Python, and keeps them for the next build."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sandbank_server.templates.base_image import BaseImage
from sandbank_server.templates.commands import run_command
from sandbank_server.templates.errors import TemplateBuildError
from sandbank_server.templates.exclusion import exclusive
from sandbank_server.templates.lockfiles import LockedPackage, render
from sandbank_server.templates.options import BuildOptions
from sandbank_server.templates.progress import BuildPhase, BuildWatch

KEPT_SETS = 8
"""How many sets of wheels stay in the cache, the last used ones."""

_DOWNLOAD_SECONDS = 1800.0
# The oldest C library that a manylinux name exists for, and the names from before they carried its version.
_OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}
_LEGACY_NAMES = {"x86_64": ("manylinux2014", "manylinux2010", "manylinux1"), "aarch64": ("manylinux2014",)}


def fetch_wheels(
    packages: Sequence[LockedPackage], base: BaseImage, options: BuildOptions, watch: BuildWatch
) -> Path:
    """Return a folder with exactly the wheels of ``packages``, from the cache or downloaded with pip.

    pip checks the hashes of what it downloads, the installation in the image those of what it finds in the
    folder. Raises :class:`TemplateBuildError`.
    """
    lock = render(packages)
    target = f"{base.python_minor} {base.architecture} {base.glibc}"
    sets = options.cache_directory / "wheels"
    folder = sets / hashlib.sha256(f"{target}\n{lock}".encode()).hexdigest()[:32]
    with exclusive(options.cache_directory / "wheels.lock", watch):
        if not folder.is_dir():
            watch.enter(BuildPhase.DOWNLOADING, f"{len(packages)} packages for Python {base.python_minor}")
            sets.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=sets, prefix="new-") as new:
                lock_file, wheels = Path(new) / "lock.txt", Path(new) / "wheels"
                lock_file.write_text(lock, encoding="utf-8")
                _download(lock_file, wheels, base, watch)
                missing = len(packages) - len(list(wheels.glob("*.whl")))
                if missing:
                    raise TemplateBuildError(f"pip downloaded {missing} wheels too few")
                wheels.rename(folder)  # a folder of that name is complete
        os.utime(folder)
        _forget(sets)
    return folder


def _download(lock_file: Path, wheels: Path, base: BaseImage, watch: BuildWatch) -> None:
    if importlib.util.find_spec("pip") is None:
        raise TemplateBuildError(f"{sys.executable} has no pip, which downloads the packages of images")
    digits = base.python_minor.replace(".", "")
    run_command(
        [
            sys.executable, "-m", "pip", "download",
            "--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--retries", "3",
            "--no-deps", "--require-hashes", "--only-binary", ":all:",
            "--requirement", str(lock_file), "--dest", str(wheels),
            "--implementation", "cp", "--python-version", digits,
            "--abi", f"cp{digits}", "--abi", "abi3", "--abi", "none",
            *(f"--platform={name}" for name in platform_names(base)),
        ],
        what="downloading packages",
        watch=watch,
        # "Collecting numpy==2.4.6 (from -r /…/lock.txt (line 7))": whose line it is helps nobody.
        tidy=lambda line: line.split(" (from ")[0],
        timeout=_DOWNLOAD_SECONDS,
    )  # fmt: skip


def platform_names(base: BaseImage) -> list[str]:
    """Return the platform part of every wheel that runs on the image, the newest C library first.

    pip takes a name for exactly what it says, so all the older ones are listed, too.
    """
    machine = base.architecture
    versions = range(base.glibc, _OLDEST_GLIBC[machine] - 1, -1)
    return [
        *(f"manylinux_2_{minor}_{machine}" for minor in versions),
        *(f"{name}_{machine}" for name in _LEGACY_NAMES[machine]),
        f"linux_{machine}",
    ]


def _forget(sets: Path) -> None:
    """Remove the sets of wheels that were not used for longest, and what a killed build left."""
    folders = [entry for entry in sets.iterdir() if entry.is_dir()]
    folders.sort(key=lambda entry: (not entry.name.startswith("new-"), entry.stat().st_mtime), reverse=True)
    for folder in folders[KEPT_SETS:] + [entry for entry in folders if entry.name.startswith("new-")]:
        shutil.rmtree(folder, ignore_errors=True)
