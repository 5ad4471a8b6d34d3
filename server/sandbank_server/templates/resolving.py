"""From a template's packages to a lock: read the locked file it gives, or lock what it asks for."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from sandbank_server.templates.base_image import BaseImage
from sandbank_server.templates.commands import run_command
from sandbank_server.templates.errors import TemplateBuildError
from sandbank_server.templates.lockfiles import LockedPackage, combine, is_locked, parse_lock, render
from sandbank_server.templates.model import LOCKS, TemplateSpec
from sandbank_server.templates.options import BuildOptions
from sandbank_server.templates.progress import BuildPhase, BuildWatch

_RESOLVE_SECONDS = 300.0
_RUNNER_LOCK = LOCKS / "runner.txt"
INSTALLER_LOCK = LOCKS / "installer.txt"


def resolve(
    spec: TemplateSpec, base: BaseImage, options: BuildOptions, watch: BuildWatch
) -> list[LockedPackage]:
    """Return every package of the template's image, the runner's own included, exactly locked.

    Packages without a locked file are locked for the image's Python when first seen; the result is kept in
    the cache, so that a later build has the same versions. Raises :class:`TemplateBuildError`.
    """
    runner = parse_lock(_read(_RUNNER_LOCK), _RUNNER_LOCK.name, base)
    if spec.requirements is not None:
        source, text = str(spec.requirements), _read(spec.requirements)
    else:
        source, text = f"templates.{spec.name}.packages", "".join(f"{line}\n" for line in spec.packages)
    if not any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
        return combine(runner, {}, source)
    if not is_locked(text):
        _refuse_options(text, source)
        text = _lock(text, source, runner=render(runner.values()), base=base, options=options, watch=watch)
    return combine(runner, parse_lock(text, source, base), source)


def resolve_installer(base: BaseImage) -> list[LockedPackage]:
    """Return the packages that are needed while an image is built."""
    return combine({}, parse_lock(_read(INSTALLER_LOCK), INSTALLER_LOCK.name, base), INSTALLER_LOCK.name)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateBuildError(f"cannot read {path}: {error}") from error


def _refuse_options(text: str, source: str) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("-") or "://" in line or line.rstrip().endswith("\\"):
            raise TemplateBuildError(f"{source}, line {number}: options and addresses are not supported here")


def _lock(
    text: str, source: str, *, runner: str, base: BaseImage, options: BuildOptions, watch: BuildWatch
) -> str:
    """Lock requirements for the image's Python, with the runner's versions as constraints."""
    platform = f"{base.architecture}-manylinux_2_{_known_glibc(base.glibc)}"
    asked = f"{base.python_minor} {platform}\n{runner}\n{text}"
    kept = options.cache_directory / "locks" / f"{hashlib.sha256(asked.encode()).hexdigest()[:32]}.txt"
    if kept.is_file():
        return _read(kept)
    watch.enter(BuildPhase.LOCKING)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix="lock-") as directory:
        folder = Path(directory)
        (folder / "wanted.in").write_text(text, encoding="utf-8")
        (folder / "runner.txt").write_text(_without_hashes(runner), encoding="utf-8")
        run_command(
            [
                *_uv(), "pip", "compile", str(folder / "wanted.in"),
                "--constraints", str(folder / "runner.txt"),
                "--output-file", str(folder / "locked.txt"),
                "--python", sys.executable,
                "--python-version", base.python_minor, "--python-platform", platform,
                "--generate-hashes", "--only-binary", ":all:",
                "--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate",
                "--quiet", "--no-progress", "--no-python-downloads",
            ],
            what=f"locking {source}",
            watch=watch,
            timeout=_RESOLVE_SECONDS,
        )  # fmt: skip
        (folder / "locked.txt").replace(kept)
    return _read(kept)


def _uv() -> list[str]:
    """Return the command that runs uv: the one installed with this Python, or any on the path."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if found is None:
        raise TemplateBuildError("uv is not installed; it locks packages that come without a locked file")
    return [found]


def _known_glibc(minor: int) -> int:
    """Return the newest C library that uv knows a platform for and the image has."""
    known: tuple[int, ...] = (28, *range(31, 41))
    return max(version for version in known if version <= minor)


def _without_hashes(lock: str) -> str:
    return "".join(f"{line.split(' ')[0]}\n" for line in lock.splitlines())
