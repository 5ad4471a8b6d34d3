"""The image that others are built on: Debian 13 with Python 3.13, or one that a template names."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbank_server.templates.debian import make_root_file_system
from sandbank_server.templates.engine import EngineImage, ImageEngine
from sandbank_server.templates.errors import ImageEngineError, TemplateBuildError
from sandbank_server.templates.exclusion import exclusive
from sandbank_server.templates.options import BuildOptions
from sandbank_server.templates.progress import BuildPhase, BuildWatch

STANDARD_BASE = "sandbank-base:python3.13-trixie"
"""The engine's name for the standard base image, wherever it came from."""

SUPPORTED_PYTHONS = ((3, 11), (3, 12), (3, 13))
_PULL_SECONDS = 900.0
_IMPORT_SECONDS = 300.0
_PROBE_SECONDS = 60.0
_PROBE = (
    "import json, os, platform; "
    "print(json.dumps({'python_version': platform.python_version(), "
    "'implementation': platform.python_implementation(), "
    "'c_library': os.confstr('CS_GNU_LIBC_VERSION') or ''}))"
)


@dataclass(frozen=True, slots=True)
class BaseImage:
    """A base image that is there, and what decides which wheels fit it.

    ``architecture`` is ``x86_64`` or ``aarch64``; ``glibc`` the C library's minor version, 41 for glibc
    2.41.
    """

    image_id: str
    architecture: str
    python_version: str
    glibc: int

    @property
    def python_minor(self) -> str:
        """``3.13`` for ``3.13.5``."""
        return ".".join(self.python_version.split(".")[:2])


def ensure_base(engine: ImageEngine, base: str, options: BuildOptions, watch: BuildWatch) -> BaseImage:
    """Return the base image, fetched or made if the engine has none. ``base`` empty means the standard one.

    Raises :class:`TemplateBuildError` and :class:`ImageEngineError`.
    """
    image = engine.find(base or STANDARD_BASE)
    if image is None:
        with exclusive(options.cache_directory / "base.lock", watch):
            image = engine.find(base or STANDARD_BASE)  # made while we waited
            if image is None:
                watch.enter(BuildPhase.BASE)
                image = (
                    _pull_named(engine, base, options, watch)
                    if base
                    else _make_standard(engine, options, watch)
                )
    return _probe(engine, image, options)


def _pull_named(engine: ImageEngine, reference: str, options: BuildOptions, watch: BuildWatch) -> EngineImage:
    if not engine.registry_has(reference, timeout=options.registry_seconds):
        raise TemplateBuildError(
            f"the engine has no image {reference}, and no registry answered for it in "
            f"{options.registry_seconds:g} s: load it into the engine, or correct the template's `base`"
        )
    return _pull(engine, reference, watch)


def _pull(engine: ImageEngine, reference: str, watch: BuildWatch) -> EngineImage:
    watch.note(f"pulling {reference}")
    engine.pull(reference, watch=watch, timeout=_PULL_SECONDS)
    image = engine.find(reference)
    if image is None:
        raise TemplateBuildError(f"the engine pulled {reference} but does not know it now")
    return image


def _make_standard(engine: ImageEngine, options: BuildOptions, watch: BuildWatch) -> EngineImage:
    """Fetch the official image, or make an equal one from Debian's packages where no registry answers."""
    watch.note(f"asking the registry for {options.registry_image}")
    if engine.registry_has(options.registry_image, timeout=options.registry_seconds):
        try:
            pulled = _pull(engine, options.registry_image, watch)
        except TemplateBuildError as error:
            watch.note(f"the registry answered, but the pull failed: {error}")
        else:
            engine.tag(pulled.image_id, STANDARD_BASE)
            return pulled
    watch.note("no registry: making the base image from Debian's packages")
    options.cache_directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.cache_directory, prefix="base-") as directory:
        archive = Path(directory) / "root.tar"
        make_root_file_system(
            archive, architecture=engine.architecture(), mirror=options.debian_mirror, watch=watch
        )
        watch.note("importing it into the engine")
        engine.import_tar(
            archive, STANDARD_BASE, changes=("ENV LANG=C.UTF-8", 'CMD ["python3"]'), timeout=_IMPORT_SECONDS
        )
    image = engine.find(STANDARD_BASE)
    if image is None:
        raise TemplateBuildError("the engine imported the base image but does not know it now")
    return image


def _probe(engine: ImageEngine, image: EngineImage, options: BuildOptions) -> BaseImage:
    """Ask the image's own Python what it is, once per image."""
    memory = options.cache_directory / "bases" / f"{image.image_id.removeprefix('sha256:')}.json"
    try:
        return BaseImage(**json.loads(memory.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        pass  # not asked yet, or by another version of this code
    base = _describe(image.image_id, engine.architecture(), _answer(engine, image))
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.write_text(json.dumps(asdict(base)), encoding="utf-8")
    return base


def _answer(engine: ImageEngine, image: EngineImage) -> str:
    try:
        return engine.run(image.image_id, ["python3", "-c", _PROBE], timeout=_PROBE_SECONDS)
    except (TemplateBuildError, ImageEngineError) as error:  # the engine refuses to start what is not there
        name = next(iter(image.references), image.image_id)
        raise TemplateBuildError(
            f"the base image {name} cannot run python3", str(error).splitlines()
        ) from error


def _describe(image_id: str, architecture: str, output: str) -> BaseImage:
    """Check the probe's answer. Raises :class:`TemplateBuildError` for a base that cannot be built on."""
    try:
        told = json.loads(output.strip().splitlines()[-1])
        version, implementation, library = (
            str(told[key]) for key in ("python_version", "implementation", "c_library")
        )
    except (IndexError, KeyError, TypeError, ValueError):
        log = output.splitlines()[-20:]
        raise TemplateBuildError("the base image's Python gave no sensible answer", log) from None
    match = re.match(r"(\d+)\.(\d+)\.", version)
    if implementation != "CPython" or not match or (int(match[1]), int(match[2])) not in SUPPORTED_PYTHONS:
        raise TemplateBuildError(
            f"the base image has {implementation} {version}; the runner needs CPython 3.11, 3.12 or 3.13"
        )
    glibc = re.fullmatch(r"glibc 2\.(\d+)", library)
    if not glibc or int(glibc[1]) < 28:
        raise TemplateBuildError(
            f"the base image has the C library {library or '(not glibc)'}; glibc 2.28 or newer is needed"
        )
    return BaseImage(image_id, architecture, version, int(glibc[1]))
