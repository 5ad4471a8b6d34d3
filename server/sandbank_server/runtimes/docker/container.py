"""What the engine is asked to make of a sandbox: every wall that a container's configuration can put up.

Pure, so that each value can be tested. The body is the engine's own (``POST /containers/create``), not a
client library's idea of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbank_server.runtimes.base import SandboxSpec
from sandbank_server.runtimes.docker.labels import labels_of
from sandbank_server.runtimes.docker.settings import DockerSettings
from sandbank_server.runtimes.docker.users import SandboxUsers
from sandbank_server.runtimes.supervisor import SOCKET_NAME, VARIABLE, configuration

KIB, MIB = 1 << 10, 1 << 20

CAPABILITIES = ("KILL", "SETGID", "SETPCAP", "SETUID")
"""What PID 1 needs to become the sandbox's users and to end their processes; it gives up all but KILL."""

HOST_DIRECTORY = "/run/sandbank/host"
"""Where the host's directory with the socket is, inside."""

WORKSPACE = "/workspace"

CPU_PERIOD_MICROSECONDS = 100_000
SPARE_CPU = 0.25
"""Beside user code's CPUs, so that a hog does not make cancel, timeouts and health slow."""


def container_name(installation: str, sandbox_id: str) -> str:
    """Return the container's name: an operator finds a sandbox by its id."""
    return f"sandbank-{installation}-{sandbox_id}"


def container_body(
    spec: SandboxSpec,
    settings: DockerSettings,
    users: SandboxUsers,
    host_directory: str,
    seccomp_profile: str,
) -> dict[str, Any]:
    """Return the body of the engine's create call.

    ``host_directory`` is the directory for the socket as the engine sees it, ``seccomp_profile`` the
    profile's JSON.
    """
    variables = configuration(
        spec,
        mode="container",
        users=list(users),
        socket_path=f"{HOST_DIRECTORY}/{SOCKET_NAME}",
        workspace=WORKSPACE,
        process_limit=spec.template.process_limit,
    )
    body = {
        "Image": spec.image,
        "Env": [f"{VARIABLE}={variables}"],
        "Labels": labels_of(spec, settings.installation, users),
        # Says nothing about the host, and nothing about which sandbox this is.
        "Hostname": "sandbox",
        # Root without capabilities to read what is not its own: the workspace would be closed to it.
        "User": "0:0",
        "WorkingDir": "/",
        "Tty": False,
        "OpenStdin": False,
        "StopSignal": "SIGKILL",
        "StopTimeout": 0,
        # An image's own check would run in here, with the container's capabilities.
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(spec, settings, users, host_directory, seccomp_profile),
    }
    if settings.entrypoint is not None:
        body |= {"Entrypoint": list(settings.entrypoint), "Cmd": []}
    return body


def _host_config(
    spec: SandboxSpec,
    settings: DockerSettings,
    users: SandboxUsers,
    host_directory: str,
    seccomp_profile: str,
) -> dict[str, Any]:
    template = spec.template
    config: dict[str, Any] = {
        # Privileges.
        "Privileged": False,
        "CapDrop": ["ALL"],
        "CapAdd": list(CAPABILITIES),
        "SecurityOpt": ["no-new-privileges", f"seccomp={seccomp_profile}"],
        # The supervisor is PID 1 and reaps.
        "Init": False,
        # Namespaces: no network, no objects shared with others.
        "NetworkMode": "none",
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "PidMode": "",
        "UTSMode": "",
        # The engine would copy the host's name servers and search domains into the container.
        "Dns": ["127.0.0.1"],
        "DnsSearch": ["."],
        # Files.
        "ReadonlyRootfs": True,
        "Tmpfs": _tmpfs(spec, users),
        "Mounts": [
            {
                "Type": "bind",
                "Source": host_directory,
                "Target": HOST_DIRECTORY,
                "ReadOnly": False,
                "BindOptions": {"Propagation": "rprivate"},
            }
        ],
        # Limits. Swap equal to memory means none; process_limit counts user code's, each of which may have a
        # sleeping snapshot, and the rest is supervisor, template and their helpers.
        "Memory": template.memory_bytes,
        "MemorySwap": template.memory_bytes,
        "OomKillDisable": False,
        # The floor to which a process inside may lower its own score, supervisor and all: never below the
        # host's services. The supervisor gives those that it starts higher ones.
        "OomScoreAdj": 0,
        "CpuPeriod": CPU_PERIOD_MICROSECONDS,
        "CpuQuota": round((template.cpu_count + SPARE_CPU) * CPU_PERIOD_MICROSECONDS),
        "PidsLimit": 2 * template.process_limit + 64,
        "Ulimits": [
            {"Name": "core", "Soft": 0, "Hard": 0},
            # /dev/mqueue makes queues without the system calls that the profile takes away.
            {"Name": "msgqueue", "Soft": 0, "Hard": 0},
            {"Name": "nofile", "Soft": settings.open_files_limit, "Hard": settings.open_files_limit},
        ],
        # The supervisor says little, and user code cannot write here; but a disk must not fill either way.
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
        # A sandbox is never started twice, and a dead one is looked at before it is removed.
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
    }
    if settings.oci_runtime is not None:
        config["Runtime"] = settings.oci_runtime
    return config


def _tmpfs(spec: SandboxSpec, users: SandboxUsers) -> Mapping[str, str]:
    """Return the writable file systems, all in memory and counted there.

    /tmp and /dev/shm get a quarter each of what the workspace leaves, so that full file systems, the
    supervisor and the template together stay below the memory limit. Every inode costs memory too, hence
    their number.
    """
    workspace = spec.template.workspace_bytes
    scratch = max(MIB, min(512 * MIB, (spec.template.memory_bytes - workspace) // 4))
    return {
        "/run/sandbank": _options("noexec", 64 * KIB, 64, users.supervisor, 0o700),
        "/tmp": _options("noexec", scratch, max(1024, scratch // (4 * KIB)), 0, 0o1777),
        "/dev/shm": _options("noexec", scratch, max(1024, scratch // (32 * KIB)), 0, 0o1777),
        # exec, or compiled modules in it could not be imported.
        WORKSPACE: _options("exec", workspace, max(1024, workspace // (4 * KIB)), users.interpreter, 0o700),
    }


def _options(execution: str, size: int, inodes: int, user: int, mode: int) -> str:
    return f"rw,nosuid,nodev,{execution},size={size},nr_inodes={inodes},uid={user},gid={user},mode={mode:04o}"
