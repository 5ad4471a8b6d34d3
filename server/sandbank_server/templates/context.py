"""The build contexts of images: deterministic tar archives of just what an image needs.

The same content always gives the same bytes (sorted names, one owner, one time), so a context's digest
names its content, and an image that was built from it need not be built again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from sandbank_server.templates.errors import TemplateBuildError

# The messages alone: inside a sandbox nobody calls the service.
_SANDBANK_FILES = ("__init__.py", "v1/*.py")
_RUNNER_FILES = ("**/*.py", "**/*.json", "**/py.typed")
_EPOCH = 315532800  # 1980, the oldest time that every archive format can hold


def packages_dockerfile() -> bytes:
    """Return the text of the Dockerfile for the packages."""
    return _image_file("packages.Dockerfile")


def runner_files() -> dict[str, bytes]:
    """Return what the image holds of Sandbank, by path in the build context, the Dockerfile included."""
    files = {"Dockerfile": _image_file("Dockerfile")}
    for package, patterns in (("sandbank_runner", _RUNNER_FILES), ("sandbank", _SANDBANK_FILES)):
        folder = _package_folder(package)
        for path in _matches(folder, patterns):
            if not path.name.endswith("_grpc.py"):
                files[f"code/{package}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    return files


def digest(parts: Mapping[str, bytes | str]) -> str:
    """Return 16 hexadecimal digits that stand for all names and contents."""
    state = hashlib.sha256()
    for name in sorted(parts):
        value = parts[name]
        data = value.encode() if isinstance(value, str) else value
        state.update(json.dumps([name, len(data)]).encode())
        state.update(data)
    return state.hexdigest()[:16]


def write_context(target: IO[bytes], files: Mapping[str, bytes | Path]) -> None:
    """Write a context: ``files`` by path, contents or the file that has them; then rewind ``target``."""
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for folder in sorted({str(parent) for name in files for parent in Path(name).parents} - {"."}):
            archive.addfile(_member(folder, 0, folder=True))
        for name, content in sorted(files.items()):
            if isinstance(content, Path):
                with content.open("rb") as source:
                    archive.addfile(_member(name, content.stat().st_size), source)
            else:
                archive.addfile(_member(name, len(content)), io.BytesIO(content))
    target.seek(0)


def _member(name: str, size: int, *, folder: bool = False) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = tarfile.DIRTYPE if folder else tarfile.REGTYPE
    member.mode = 0o755 if folder else 0o644
    member.size = size
    member.mtime = _EPOCH
    return member


def _matches(folder: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    # An installed wheel has the image's other files in a folder of the package; they are no part of the
    # code.
    return iter(
        sorted(path for path in found if path.relative_to(folder).parts[0] not in {"image", "__pycache__"})
    )


def _package_folder(name: str) -> Path:
    """Return where a package lies, in a checkout or installed, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise TemplateBuildError(f"the package {name} is not installed; images are built from it")
    return Path(next(iter(spec.submodule_search_locations)))


def _image_file(name: str) -> bytes:
    """Return a file of ``worker_image/``: beside the package in a checkout, inside an installed one."""
    package = _package_folder("sandbank_runner")
    for path in (package.parent / name, package / "image" / name):
        if path.is_file():
            return path.read_bytes()
    raise TemplateBuildError(f"{name} is neither in {package.parent} nor in {package / 'image'}")
