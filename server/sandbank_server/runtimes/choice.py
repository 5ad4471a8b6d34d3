"""Which runtime: the one that was asked for, or what there is."""

from __future__ import annotations

import structlog

from sandbank_server.config import Settings
from sandbank_server.listen import refuse_open_listener
from sandbank_server.runtimes.base import SandboxRuntime
from sandbank_server.runtimes.docker import DockerRuntime, DockerSettings, EngineAbsent
from sandbank_server.runtimes.local import LocalRuntime, LocalSettings

_log = structlog.get_logger("sandbank.runtime")


async def choose_runtime(settings: Settings, installation: str) -> SandboxRuntime:
    """Return the runtime, started.

    ``auto`` is containers where an engine answers, and processes with a loud warning where none does. Raises
    :class:`RuntimeUnavailable` for a runtime that was asked for and cannot be had, ListenError where the local one
    would be offered to other machines.
    """
    if settings.runtime != "local":
        try:
            return await _containers(_docker_settings(settings, installation))
        except EngineAbsent as error:
            # An engine that answers and is not fit, or a setting that is wrong, is the operator's to mend: nobody
            # who has an engine wants to find out later that it was not used.
            if settings.runtime == "docker" or settings.oci_runtime:
                raise
            _log.warning(
                "no Docker Engine: sandboxes are plain processes of this user and isolate nothing. "
                "For development only",
                reason=str(error),
            )
    refuse_open_listener(settings.listen, runtime="local", allowed=settings.allow_non_loopback_local)
    local = LocalRuntime(LocalSettings(settings.data_dir))
    await local.start()
    return local


async def _containers(settings: DockerSettings) -> DockerRuntime:
    runtime = DockerRuntime(settings)
    try:
        await runtime.start()
    except BaseException:
        await runtime.close()
        raise
    return runtime


def _docker_settings(settings: Settings, installation: str) -> DockerSettings:
    return DockerSettings(
        installation=installation,
        data_dir=settings.data_dir,
        engine_url=settings.engine_url,
        oci_runtime=settings.oci_runtime or None,
        first_uid=settings.first_uid,
        uid_count=settings.uid_count,
        seccomp_profile=settings.seccomp_profile,
        call_seconds=settings.engine_timeout.total_seconds(),
    )
