"""What the engine is asked to make of a sandbox, value by value."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sandbank_server.runtimes.base import SandboxSpec
from sandbank_server.runtimes.docker import labels
from sandbank_server.runtimes.docker.container import container_body, container_name
from sandbank_server.runtimes.docker.settings import DockerSettings
from sandbank_server.runtimes.docker.users import SandboxUsers
from sandbank_server.templates.model import GIB, MIB, TemplateSpec

USERS = SandboxUsers(300_000, 300_001, 300_002, 300_003)
SETTINGS = DockerSettings("main", Path("/srv/sandbank"))
TEMPLATE = TemplateSpec(
    "science",
    preload=("numpy", "pandas"),
    memory_bytes=512 * MIB,
    cpu_count=1.5,
    process_limit=100,
    workspace_bytes=256 * MIB,
    environment={"GREETING": "hello"},
)
SPEC = SandboxSpec("sb-0123456789ab", TEMPLATE, "sandbank-science:1", {"sandbank.tenant": "acme"})


def body(spec: SandboxSpec = SPEC, settings: DockerSettings = SETTINGS) -> dict[str, Any]:
    """Return the whole request."""
    return container_body(
        spec, settings, USERS, "/srv/sandbank/sandboxes/sb-0123456789ab/host", '{"seccomp":1}'
    )


def host(spec: SandboxSpec = SPEC, settings: DockerSettings = SETTINGS) -> dict[str, Any]:
    """Return its part about the host."""
    config: dict[str, Any] = body(spec, settings)["HostConfig"]
    return config


def test_privileges() -> None:
    """Root at first, with the four capabilities to become the sandbox's users and no way to more."""
    assert body()["User"] == "0:0"
    assert host()["Privileged"] is False
    assert host()["CapDrop"] == ["ALL"]
    assert sorted(host()["CapAdd"]) == ["KILL", "SETGID", "SETPCAP", "SETUID"]
    assert host()["SecurityOpt"] == ["no-new-privileges", 'seccomp={"seccomp":1}']
    assert "Devices" not in host()


def test_namespaces() -> None:
    """No network, and nothing shared with the host or other containers."""
    config = host()
    assert config["NetworkMode"] == "none"
    assert config["IpcMode"] == "private"
    assert config["CgroupnsMode"] == "private"
    assert config["PidMode"] == config["UTSMode"] == ""
    assert config["Dns"] == ["127.0.0.1"]
    assert body()["Hostname"] == "sandbox"


def test_limits() -> None:
    """Memory without swap, a quarter of a CPU to spare, room for snapshots among the processes, no core files."""
    config = host()
    assert config["Memory"] == config["MemorySwap"] == 512 * MIB
    assert config["CpuQuota"] / config["CpuPeriod"] == 1.75
    assert config["PidsLimit"] == 264
    assert config["OomKillDisable"] is False
    assert config["OomScoreAdj"] == 0
    limits = {limit["Name"]: (limit["Soft"], limit["Hard"]) for limit in config["Ulimits"]}
    assert limits == {"core": (0, 0), "msgqueue": (0, 0), "nofile": (4096, 4096)}
    assert config["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}}


def test_life() -> None:
    """The supervisor is PID 1, dies at once when told, is never restarted, and is looked at before it is removed."""
    assert host()["Init"] is False
    assert host()["RestartPolicy"] == {"Name": "no"}
    assert host()["AutoRemove"] is False
    assert (body()["StopSignal"], body()["StopTimeout"]) == ("SIGKILL", 0)
    assert body()["Healthcheck"] == {"Test": ["NONE"]}
    assert (body()["Tty"], body()["OpenStdin"]) == (False, False)


def test_file_systems() -> None:
    """Read-only but for four file systems in memory, with sizes, inodes and owners, and the socket's directory."""
    config = host()
    assert config["ReadonlyRootfs"] is True
    assert config["Tmpfs"] == {
        "/run/sandbank": "rw,nosuid,nodev,noexec,size=65536,nr_inodes=64,uid=300000,gid=300000,mode=0700",
        "/tmp": "rw,nosuid,nodev,noexec,size=67108864,nr_inodes=16384,uid=0,gid=0,mode=1777",
        "/dev/shm": "rw,nosuid,nodev,noexec,size=67108864,nr_inodes=2048,uid=0,gid=0,mode=1777",
        "/workspace": "rw,nosuid,nodev,exec,size=268435456,nr_inodes=65536,uid=300002,gid=300002,mode=0700",
    }
    assert config["Mounts"] == [
        {
            "Type": "bind",
            "Source": "/srv/sandbank/sandboxes/sb-0123456789ab/host",
            "Target": "/run/sandbank/host",
            "ReadOnly": False,
            "BindOptions": {"Propagation": "rprivate"},
        }
    ]
    assert "Binds" not in config


@pytest.mark.parametrize(
    ("memory", "workspace"),
    [(128 * MIB, MIB), (128 * MIB, 127 * MIB), (512 * MIB, 256 * MIB), (64 * GIB, 2 * GIB)],
)
def test_full_file_systems_stay_below_the_memory_limit(memory: int, workspace: int) -> None:
    """With every file system full, half of what the workspace leaves is still there for processes, or nearly."""
    spec = replace(SPEC, template=replace(TEMPLATE, memory_bytes=memory, workspace_bytes=workspace))
    options = [
        dict(part.partition("=")[::2] for part in text.split(",")) for text in host(spec)["Tmpfs"].values()
    ]
    full = sum(int(each["size"]) for each in options)
    assert memory - full >= (memory - workspace) // 2 - 2 * MIB


def test_supervisor_is_told_what_the_template_says() -> None:
    """The variable holds the template's settings and the users; the image's own start command is kept."""
    (variable,) = body()["Env"]
    name, _, value = variable.partition("=")
    assert name == "SANDBANK_SANDBOX"
    assert json.loads(value) == {
        "sandbox_id": "sb-0123456789ab",
        "mode": "container",
        "users": [300_000, 300_001, 300_002, 300_003],
        "socket_path": "/run/sandbank/host/runner.sock",
        "workspace": "/workspace",
        "preload": ["numpy", "pandas"],
        "process_limit": 100,
        "cpu_count": 1.5,
        "environment": {"GREETING": "hello"},
    }
    assert "Entrypoint" not in body()
    assert "Cmd" not in body()


def test_runtime_and_start_command_can_be_chosen() -> None:
    """An OCI runtime is named only where one was chosen; so is a start command."""
    assert "Runtime" not in host()
    assert host(settings=replace(SETTINGS, oci_runtime="runsc"))["Runtime"] == "runsc"
    chosen = body(settings=replace(SETTINGS, entrypoint=("sleep", "1")))
    assert (chosen["Entrypoint"], chosen["Cmd"]) == (["sleep", "1"], [])


def test_labels_are_enough_to_adopt() -> None:
    """Installation, sandbox, template and users are in the labels, beside the caller's own."""
    given = body()["Labels"]
    assert given["sandbank.installation"] == "main"
    assert given["sandbank.sandbox"] == "sb-0123456789ab"
    assert given["sandbank.template"] == "science"
    assert SandboxUsers.parse(given["sandbank.users"]) == USERS
    assert labels.caller_labels({**given, "from.the.image": "1"}) == {"sandbank.tenant": "acme"}


@pytest.mark.parametrize("name", ["sandbank.sandbox", "sandbank.users", "a,b", ""])
def test_callers_labels_cannot_hide_the_runtimes(name: str) -> None:
    """A label of the runtime's, or one whose name cannot be kept, is refused."""
    with pytest.raises(ValueError, match="label"):
        body(replace(SPEC, labels={name: "x"}))


def test_container_is_found_by_the_sandbox_id() -> None:
    """The name holds the installation and the id."""
    assert container_name("main", "sb-0123456789ab") == "sandbank-main-sb-0123456789ab"
