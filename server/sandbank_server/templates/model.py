"""What a template is: the image, the packages, the preloaded modules and the limits of a kind of sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Package:
    """A Python package and its exact version, as its metadata spell them."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class TemplateSpec:
    """The settings of a template, checked by ``template_from_mapping`` of ``settings``.

    ``base`` names the image to build on; empty means Debian 13 with Python 3.13. What the image holds
    besides the runner's own packages comes either from ``packages``, requirement specifiers that are locked
    when the image is first built, or from the file ``requirements``. ``preload`` lists the modules that
    every interpreter finds imported already. ``memory_bytes`` is for all of a sandbox, its workspace and
    ``/tmp`` included; ``cpu_count`` and ``process_limit`` are user code's alone. ``environment`` is user
    code's environment. The only ``network`` there is yet is ``none``.
    """

    name: str
    base: str = ""
    packages: tuple[str, ...] = ()
    requirements: Path | None = None
    preload: tuple[str, ...] = ()
    memory_bytes: int = 512 * MIB
    cpu_count: float = 1.0
    process_limit: int = 128
    workspace_bytes: int = 256 * MIB
    environment: Mapping[str, str] = field(default_factory=dict)
    network: str = "none"


LOCKS = Path(__file__).parent / "locks"
"""The locked files that come with Sandbank: ``runner.txt`` for every image, one for each shipped template."""

SHIPPED_TEMPLATES: Mapping[str, TemplateSpec] = {
    spec.name: spec
    for spec in (
        TemplateSpec(name="slim"),
        TemplateSpec(
            name="data",
            requirements=LOCKS / "data.txt",
            preload=("numpy", "pandas"),
            memory_bytes=2 * GIB,
        ),
    )
}
"""The templates that are there without any configuration."""

DEFAULT_TEMPLATE = "data"
"""The template of a session that names none."""
