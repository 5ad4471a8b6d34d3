"""The images of templates in the engine: their names, their labels, and which of them are still wanted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sandbank_server.templates.engine import EngineImage, ImageEngine
from sandbank_server.templates.model import Package

TEMPLATE_LABEL = "sandbank.template"
PYTHON_LABEL = "sandbank.python-version"
PACKAGES_LABEL = "sandbank.packages"
PACKAGES_IMAGE_LABEL = "sandbank.packages-image"
INSTALLATION_LABEL = "sandbank.installation"

_LABEL_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TemplateImage:
    """The image of a template. ``reference`` is its name; ``size_bytes`` includes what it shares."""

    template: str
    reference: str
    image_id: str
    python_version: str
    packages: tuple[Package, ...]
    size_bytes: int
    created: str


def image_name(template: str, digest: str) -> str:
    """Return the name of a template's image; a different content has a different name."""
    return f"sandbank-{template}:{digest}"


def packages_image_name(digest: str) -> str:
    """Return the name of the image with the packages only, which templates may share."""
    return f"sandbank-packages:{digest}"


def find_image(engine: ImageEngine, reference: str) -> TemplateImage | None:
    """Return the template image of that name, or None if the engine has none."""
    image = engine.find(reference)
    return None if image is None else _described(image, reference)


def list_images(engine: ImageEngine) -> list[TemplateImage]:
    """Return every template image in the engine, newest first."""
    return [
        _described(image, reference)
        for image in engine.labelled(TEMPLATE_LABEL)
        for reference in image.references[:1] or (image.image_id,)
    ]


def remove_superseded(engine: ImageEngine, current: TemplateImage, installation: str) -> list[str]:
    """Remove this installation's older images of the template that no container uses, and return their names.

    Packages that no template image is built on any more go with them.
    """
    own = [
        image
        for image in engine.labelled(f"{INSTALLATION_LABEL}={installation}")
        if image.labels.get(TEMPLATE_LABEL) == current.template and image.image_id != current.image_id
    ]
    removed = [
        reference
        for image in own
        for reference in image.references or (image.image_id,)
        if engine.remove(reference)
    ]
    wanted = {image.labels.get(PACKAGES_IMAGE_LABEL) for image in engine.labelled(TEMPLATE_LABEL)}
    unused = {image.labels.get(PACKAGES_IMAGE_LABEL, "") for image in own} - wanted - {""}
    return removed + [name for name in sorted(unused) if engine.remove(name)]


def _described(image: EngineImage, reference: str) -> TemplateImage:
    return TemplateImage(
        template=image.labels.get(TEMPLATE_LABEL, ""),
        reference=reference,
        image_id=image.image_id,
        python_version=image.labels.get(PYTHON_LABEL, ""),
        packages=_packages(image.labels),
        size_bytes=image.size_bytes,
        created=image.created,
    )


def _packages(image_labels: Mapping[str, str]) -> tuple[Package, ...]:
    """Read the label; anybody who can build images can have written it, so nothing is taken for granted."""
    text = image_labels.get(PACKAGES_LABEL, "")
    try:
        listed = json.loads(text) if len(text) <= _LABEL_BYTES else {}
    except ValueError:
        return ()
    if not isinstance(listed, dict):
        return ()
    return tuple(Package(str(name), str(version)) for name, version in sorted(listed.items()))
