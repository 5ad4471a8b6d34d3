"""Puts the image's files that are not Python inside an installed package; a checkout has them beside it."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

IMAGE_FILES = ("Dockerfile", "packages.Dockerfile", "seccomp.json")


class ImageFilesHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the files to wheels, but not to editable installs: copies there would go stale."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files to include and where they go."""
        if version == "standard":
            for name in IMAGE_FILES:
                build_data["force_include"][name] = f"sandbank_runner/image/{name}"
