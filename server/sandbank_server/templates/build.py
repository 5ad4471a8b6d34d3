"""Builds the image of a template, or finds that it is there already.

Two images are built on each other: ``sandbank-packages:DIGEST`` with the Python packages, which takes a
minute, and ``sandbank-TEMPLATE:DIGEST`` with the runner's code, which takes seconds. Each digest stands for
all that went into the image, so nothing is built twice and nothing stale is ever used.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbank_server.templates.base_image import BaseImage, ensure_base
from sandbank_server.templates.context import digest, packages_dockerfile, runner_files, write_context
from sandbank_server.templates.engine import BUILD_LABEL, ImageEngine
from sandbank_server.templates.errors import TemplateBuildError
from sandbank_server.templates.exclusion import exclusive
from sandbank_server.templates.images import (
    INSTALLATION_LABEL,
    PACKAGES_IMAGE_LABEL,
    PACKAGES_LABEL,
    PYTHON_LABEL,
    TEMPLATE_LABEL,
    TemplateImage,
    find_image,
    image_name,
    packages_image_name,
    remove_superseded,
)
from sandbank_server.templates.lockfiles import LockedPackage, render
from sandbank_server.templates.model import TemplateSpec
from sandbank_server.templates.options import BuildOptions
from sandbank_server.templates.progress import BuildPhase, BuildProgress, BuildWatch
from sandbank_server.templates.resolving import resolve, resolve_installer
from sandbank_server.templates.wheels import fetch_wheels

_INSTALL_SECONDS = 1800.0
_RUNNER_SECONDS = 300.0


def build_template(
    engine: ImageEngine,
    spec: TemplateSpec,
    options: BuildOptions,
    *,
    on_progress: Callable[[BuildProgress], None] | None = None,
    cancel: threading.Event | None = None,
) -> TemplateImage:
    """Return the template's image, built if the engine does not have it.

    Blocks, for minutes at worst; ``on_progress`` is called in the same thread. Setting ``cancel`` from
    another thread ends it within about a second. Builds of one template wait for each other, also across
    processes. Raises :class:`TemplateBuildError`, :class:`ImageEngineError` and
    :class:`TemplateBuildCancelledError`.
    """
    watch = BuildWatch(spec.name, on_progress, cancel)
    recipe = _plan(engine, spec, options, watch)
    image = find_image(engine, recipe.name)
    if image is None:
        with exclusive(options.cache_directory / "builds" / f"{spec.name}.lock", watch):
            image = find_image(engine, recipe.name)  # built while we waited
            if image is None:
                _build_packages(engine, recipe, options, watch)
                image = _build_image(engine, recipe, options, watch)
                remove_superseded(engine, image, options.installation)
    watch.enter(BuildPhase.DONE, recipe.name)
    return image


@dataclass(frozen=True, slots=True)
class _Recipe:
    """All that goes into an image, and the names that follow from it."""

    template: str
    base: BaseImage
    packages: Sequence[LockedPackage]
    code: Mapping[str, bytes]
    packages_name: str
    name: str


def _plan(engine: ImageEngine, spec: TemplateSpec, options: BuildOptions, watch: BuildWatch) -> _Recipe:
    base = ensure_base(engine, spec.base, options, watch)
    packages = resolve(spec, base, options, watch)
    packages_name = packages_image_name(
        digest({"base": base.image_id, "lock": render(packages), "Dockerfile": packages_dockerfile()})
    )
    code = runner_files()
    name = image_name(spec.name, digest({**code, "packages": packages_name}))
    return _Recipe(spec.name, base, packages, code, packages_name, name)


def _build_packages(engine: ImageEngine, recipe: _Recipe, options: BuildOptions, watch: BuildWatch) -> None:
    """Build the image with the packages, unless it is there. Templates with the same packages share it."""
    name = recipe.packages_name
    with exclusive(options.cache_directory / "builds" / f"{name.replace(':', '-')}.lock", watch):
        if engine.find(name) is not None:
            return
        files: dict[str, bytes | Path] = {
            f"wheels/{path.name}": path
            for packages in (recipe.packages, resolve_installer(recipe.base))
            for path in fetch_wheels(packages, recipe.base, options, watch).iterdir()
        }
        files["Dockerfile"] = packages_dockerfile()
        files["locks/packages.txt"] = render(recipe.packages).encode()
        watch.enter(BuildPhase.INSTALLING, f"{len(recipe.packages)} packages")
        try:
            with tempfile.TemporaryFile(dir=options.cache_directory) as context:
                write_context(context, files)
                engine.build(
                    context,
                    name,
                    arguments={"BASE": recipe.base.image_id, "BUILD": name},
                    labels={},
                    watch=watch,
                    timeout=_INSTALL_SECONDS,
                )
        finally:
            # The first stage, with all wheels in it, is left over as an image without a name.
            for stage in engine.labelled(f"{BUILD_LABEL}={name}", dangling=True):
                engine.remove(stage.image_id)


def _build_image(
    engine: ImageEngine, recipe: _Recipe, options: BuildOptions, watch: BuildWatch
) -> TemplateImage:
    """Build the image that is started, from the one with the packages."""
    watch.enter(BuildPhase.RUNNER, recipe.name)
    base = recipe.base
    packages = {package.name: package.version for package in recipe.packages}
    content = {"python_version": base.python_version, "packages": packages}
    files = {**recipe.code, "template.json": json.dumps(content, indent=1, sort_keys=True).encode()}
    with tempfile.TemporaryFile(dir=options.cache_directory) as context:
        write_context(context, files)
        engine.build(
            context,
            recipe.name,
            arguments={
                "PACKAGES": recipe.packages_name,
                "SITE": f"/opt/sandbank/lib/python{base.python_minor}/site-packages",
            },
            labels={
                TEMPLATE_LABEL: recipe.template,
                PYTHON_LABEL: base.python_version,
                PACKAGES_LABEL: json.dumps(packages, sort_keys=True),
                PACKAGES_IMAGE_LABEL: recipe.packages_name,
                INSTALLATION_LABEL: options.installation,
            },
            watch=watch,
            timeout=_RUNNER_SECONDS,
        )
    image = find_image(engine, recipe.name)
    if image is None:
        raise TemplateBuildError(f"the engine built {recipe.name} but does not know it now")
    return image
