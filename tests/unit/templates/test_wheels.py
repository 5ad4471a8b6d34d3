"""Which wheels fit an image."""

from __future__ import annotations

from sandbank_server.templates.base_image import BaseImage
from sandbank_server.templates.wheels import platform_names


def test_every_older_c_library_will_do():
    """Pip takes a platform's name for exactly what it says, so each is listed, the newest first."""
    names = platform_names(BaseImage("x", "x86_64", "3.13.5", 41))
    assert names[0] == "manylinux_2_41_x86_64"
    assert {"manylinux_2_28_x86_64", "manylinux_2_5_x86_64", "manylinux2014_x86_64", "linux_x86_64"} <= set(
        names
    )
    assert "manylinux_2_42_x86_64" not in names


def test_arm_has_its_own_names():
    """There never was a wheel for arm64 before glibc 2.17."""
    names = platform_names(BaseImage("x", "aarch64", "3.11.2", 36))
    assert (names[0], names[-2:]) == ("manylinux_2_36_aarch64", ["manylinux2014_aarch64", "linux_aarch64"])
    assert not any("2_16" in name or "x86" in name for name in names)
