"""An image engine in memory: knows names, remembers what it was asked, can be told to refuse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sandbank_server.templates.engine import EngineImage
from sandbank_server.templates.errors import TemplateBuildError

PROBE = {"python_version": "3.13.5", "implementation": "CPython", "c_library": "glibc 2.41"}


@dataclass
class FakeImageEngine:
    """Stands in for `ImageEngine` where it is about who is asked for what, not about Docker."""

    registry: set[str] = field(default_factory=set)
    pull_fails: bool = False
    probe: str = json.dumps(PROBE)
    in_use: set[str] = field(default_factory=set)
    images: dict[str, EngineImage] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def add(self, name: str, labels: Mapping[str, str] | None = None) -> EngineImage:
        """Put an image into the engine; each is newer than the one before."""
        number = len(self.asked) + len(self.images)
        image = EngineImage(
            f"sha256:{number:064x}", (name,), dict(labels or {}), {}, 1, f"2026-01-01T{number:06}Z"
        )
        self.images[name] = image
        return image

    def architecture(self) -> str:
        """Tell the machine."""
        return "x86_64"

    def find(self, reference: str) -> EngineImage | None:
        """Find by name or id."""
        by_id = {image.image_id: image for image in self.images.values()}
        return self.images.get(reference) or by_id.get(reference)

    def labelled(self, label: str, *, dangling: bool | None = None) -> list[EngineImage]:
        """Find by label, newest first."""
        name, equals, value = label.partition("=")
        found = [
            image
            for image in self.images.values()
            if name in image.labels and (not equals or image.labels[name] == value)
        ]
        return sorted(found, key=lambda image: image.created, reverse=True)

    def tag(self, reference: str, name: str) -> None:
        """Name an image."""
        image = self.find(reference)
        assert image is not None
        self.images[name] = replace(image, references=(*image.references, name))

    def remove(self, reference: str) -> bool:
        """Remove unless in use."""
        if reference in self.in_use:
            return False
        self.asked.append(f"remove {reference}")
        return self.images.pop(reference, None) is not None

    def registry_has(self, reference: str, *, timeout: float) -> bool:
        """Whether the pretended registry answers."""
        self.asked.append(f"registry {reference} {timeout:g}")
        return reference in self.registry

    def pull(self, reference: str, **_: object) -> None:
        """Pull, or fail half-way."""
        self.asked.append(f"pull {reference}")
        if self.pull_fails:
            raise TemplateBuildError("the connection broke")
        self.add(reference)

    def import_tar(self, archive: Path, name: str, **_: object) -> None:
        """Import a root file system."""
        self.asked.append(f"import {archive.read_text()} as {name}")
        self.add(name)

    def run(self, reference: str, argv: object, *, timeout: float) -> str:
        """Answer the question for the image's Python."""
        self.asked.append(f"run in {reference[:16]}")
        return self.probe
