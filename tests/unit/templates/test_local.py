"""The local runtime's template is the environment of the control plane."""

from __future__ import annotations

import importlib.metadata
import platform

from sandbank_server.templates.local import local_environment


def test_the_packages_of_this_environment_are_listed():
    """Under their normalised names, each once, sorted."""
    environment = local_environment()
    versions = {package.name: package.version for package in environment.packages}
    assert environment.python_version == platform.python_version()
    assert versions["protobuf"] == importlib.metadata.version("protobuf")
    names = [package.name for package in environment.packages]
    assert names == sorted(set(names))
    assert not any(name != name.lower() or "_" in name for name in names)
