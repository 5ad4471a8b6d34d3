"""Whether there is a Docker Engine for the tests that need one."""

from __future__ import annotations

import functools
import os
import socket

import docker
from docker.errors import DockerException


@functools.cache
def engine_problem() -> str:
    """Return why no engine can be used, empty when one can."""
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if address.startswith("unix://"):
        # Asked by ourselves first: docker's client forgets to close the socket of a connection that fails.
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(address.removeprefix("unix://"))
            except OSError as error:
                return f"{address}: {error.strerror}"
    try:
        client = docker.from_env(timeout=10)
    except DockerException as error:
        return str(error)
    try:
        client.ping()
    except (DockerException, OSError) as error:
        return str(error)
    finally:
        client.close()
    return ""


def engine_required() -> bool:
    """Whether a missing engine is a failure, not a reason to skip."""
    return os.environ.get("CI") == "true"
