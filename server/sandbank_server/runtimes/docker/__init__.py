"""Sandboxes as hardened containers of a Docker Engine on the same host."""

from sandbank_server.runtimes.docker.engine import EngineAbsent
from sandbank_server.runtimes.docker.runtime import DockerRuntime
from sandbank_server.runtimes.docker.settings import DockerSettings

__all__ = ["DockerRuntime", "DockerSettings", "EngineAbsent"]
