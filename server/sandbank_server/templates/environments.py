"""What sandboxes of each template run in: an image that is built when it is first wanted, or this Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from sandbank_server.templates.background import build_in_background
from sandbank_server.templates.images import TemplateImage
from sandbank_server.templates.local import LocalEnvironment, local_environment
from sandbank_server.templates.model import TemplateSpec
from sandbank_server.templates.options import BuildOptions
from sandbank_server.templates.progress import BuildProgress


class Environments(Protocol):
    """Makes and describes environments."""

    async def image_of(self, spec: TemplateSpec) -> str:
        """Return what to start sandboxes of a template from, building it where it is missing."""

    def environment_of(self, template: str) -> TemplateImage | LocalEnvironment | None:
        """Return what is known of it; None while it is not built."""


class ImageEnvironments:
    """Images in the engine."""

    def __init__(self, options: BuildOptions, on_progress: Callable[[BuildProgress], None]) -> None:
        self._options = options
        self._on_progress = on_progress
        self._images: dict[str, TemplateImage] = {}

    async def image_of(self, spec: TemplateSpec) -> str:
        """See :class:`Environments`. Raises TemplateBuildError."""
        image = await build_in_background(spec, self._options, on_progress=self._on_progress)
        self._images[spec.name] = image
        return image.reference

    def environment_of(self, template: str) -> TemplateImage | None:
        """See :class:`Environments`."""
        return self._images.get(template)


class LocalEnvironments:
    """This Python, for every template."""

    def __init__(self, templates: Mapping[str, TemplateSpec]) -> None:
        self._here = local_environment()
        self._templates = frozenset(templates)

    async def image_of(self, spec: TemplateSpec) -> str:
        """See :class:`Environments`."""
        return "local"

    def environment_of(self, template: str) -> LocalEnvironment | None:
        """See :class:`Environments`."""
        return self._here if template in self._templates else None
