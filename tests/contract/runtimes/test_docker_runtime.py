"""What only containers promise, on a real engine."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sandbank_server.runtimes.base import LaunchFailed, RuntimeUnavailable
from sandbank_server.runtimes.dial import ImpostorEndpoint, open_socket
from sandbank_server.runtimes.docker import DockerRuntime, DockerSettings

from tests.contract.runtimes.conftest import DockerSubject, run_code

pytestmark = pytest.mark.engine

MIB = 1 << 20


@pytest.fixture
async def docker(tmp_path: Path) -> AsyncIterator[DockerSubject]:
    """A started runtime; at its end nothing of it may be left."""
    subject = DockerSubject(tmp_path)
    await subject.runtime.start()
    try:
        yield subject
        for seen in await subject.runtime.list_sandboxes():
            await subject.runtime.destroy(seen.sandbox_id)
        assert subject.traces() == []
    finally:
        await subject.runtime.close()
        subject.engine.close()


def inspect(subject: DockerSubject, sandbox_id: str) -> dict[str, Any]:
    """Return what the engine says of a sandbox's container."""
    found: dict[str, Any] = subject.engine.inspect_container(f"sandbank-{subject.installation}-{sandbox_id}")
    return found


def users(subject: DockerSubject, sandbox_id: str) -> set[str]:
    """Return the users in the container's label."""
    return set(inspect(subject, sandbox_id)["Config"]["Labels"]["sandbank.users"].split(","))


def process_status(pid: int) -> dict[str, str]:
    """Return what the kernel says of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


async def test_no_two_sandboxes_share_a_user(docker: DockerSubject, tmp_path: Path) -> None:
    """Not within an installation, not after a restart of it, and not with another one on the same engine."""
    # A range for three sandboxes: any two of them would soon meet by chance.
    narrow = {"first_uid": 700_000, "uid_count": 12}
    mine = DockerSettings(docker.installation, tmp_path, **narrow)
    theirs = DockerSettings(f"other-{secrets.token_hex(4)}", tmp_path / "other", **narrow)
    runtimes = [DockerRuntime(mine), DockerRuntime(mine), DockerRuntime(theirs)]
    try:
        taken: list[set[str]] = []
        for runtime in runtimes:
            await runtime.start()
            spec = docker.spec()
            launched = await runtime.launch(spec)
            label = f"sandbank.sandbox={launched.sandbox_id}"
            (container,) = docker.engine.containers(filters={"label": label})
            taken.append(set(container["Labels"]["sandbank.users"].split(",")))
        assert len(set().union(*taken)) == 12
        with pytest.raises(LaunchFailed, match="in use"):
            await runtimes[2].launch(docker.spec())
    finally:
        for runtime in runtimes:
            for seen in await runtime.list_sandboxes():
                await runtime.destroy(seen.sandbox_id)
            await runtime.close()


async def test_missing_image_fails_the_launch(docker: DockerSubject) -> None:
    """The message says how to get it, and nothing stays."""
    with pytest.raises(LaunchFailed, match=r"no image sandbank-slim:nope.*sandbank templates build slim"):
        await docker.runtime.launch(replace(docker.spec(), image="sandbank-slim:nope"))
    assert docker.traces() == []


async def test_image_without_a_start_command_fails_the_launch(docker: DockerSubject) -> None:
    """What the engine cannot start is told in its own words, and nothing stays."""
    settings = DockerSettings(docker.installation, docker.data_dir, entrypoint=("/no/such/program",))
    runtime = DockerRuntime(settings)
    await runtime.start()
    with pytest.raises(LaunchFailed, match="/no/such/program"):
        await runtime.launch(docker.spec())
    assert docker.traces() == []
    await runtime.close()


async def test_missing_oci_runtime_is_refused_at_start(tmp_path: Path) -> None:
    """A configured runtime that the engine does not have is found at start, not by the first session."""
    runtime = DockerRuntime(DockerSettings("contract", tmp_path, oci_runtime="kata-of-nowhere"))
    with pytest.raises(RuntimeUnavailable, match=r"kata-of-nowhere.*runc"):
        await runtime.start()
    await runtime.close()


async def test_walls_are_in_force(docker: DockerSubject) -> None:
    """What was asked for is what the engine made, as the engine and the kernel tell it."""
    launched = await docker.launch()
    async with docker.greeted(launched):
        found = inspect(docker, launched.sandbox_id)
        fields = process_status(found["State"]["Pid"])
    host = found["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["NetworkMode"] == "none"
    assert host["Memory"] == host["MemorySwap"] == 512 * MIB
    assert host["PidsLimit"] == 2 * 128 + 64
    supervisor = str(launched.endpoint.peer_uid)
    assert fields["Uid"].split() == [supervisor] * 4
    assert fields["Gid"].split() == [supervisor] * 4
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    # CAP_KILL is number 5; nothing else, and nothing to get back.
    assert {int(fields[name], 16) for name in ("CapPrm", "CapEff")} == {1 << 5}
    assert {int(fields[name], 16) for name in ("CapInh", "CapBnd", "CapAmb")} == {0}


async def test_socket_of_another_sandbox_is_an_impostor(docker: DockerSubject) -> None:
    """A socket moved into another sandbox's directory leads to users that the endpoint does not name."""
    first, second = await docker.launch(), await docker.launch()
    async with docker.greeted(first), docker.greeted(second):
        here, there = (Path(each.endpoint.directory, "runner.sock") for each in (first, second))
        here.unlink()
        here.symlink_to(there)
        with pytest.raises(ImpostorEndpoint, match="not a socket"):
            open_socket(first.endpoint)
        here.unlink()
        here.hardlink_to(there)
        with pytest.raises(ImpostorEndpoint, match=f"user {second.endpoint.peer_uid} listens"):
            open_socket(first.endpoint)


async def test_memory_of_user_code_counts_and_ends_there(docker: DockerSubject) -> None:
    """User code that takes more than the limit dies; its supervisor does not, and the sandbox runs on."""
    launched = await docker.launch()
    async with docker.greeted(launched) as link:
        before = (await docker.runtime.stats(launched.sandbox_id)).memory_bytes
        await run_code(link, "hog = []\nwhile True: hog.append(b'x' * (8 << 20))")
        stats = await docker.runtime.stats(launched.sandbox_id)
        assert stats.memory_bytes < before + 256 * MIB
    seen = await docker.observe(launched.sandbox_id)
    assert seen is not None
    assert seen.running


async def test_supervisor_killed_for_memory_is_told_as_such(docker: DockerSubject) -> None:
    """Out of memory is a reason of its own, in what is told and in what is listed."""
    hog = ("/opt/sandbank/bin/python", "-c", "hog = []\nwhile True: hog.append(b'x' * (8 << 20))")
    runtime = DockerRuntime(DockerSettings(docker.installation, docker.data_dir, entrypoint=hog))
    await runtime.start()
    exits = runtime.exits()
    launched = await runtime.launch(docker.spec())
    async with asyncio.timeout(60):
        told = await anext(exits)
    assert (told.sandbox_id, told.exit_code, told.oom_killed) == (launched.sandbox_id, 137, True)
    assert told.reason == "killed: out of memory"
    seen = await docker.observe(launched.sandbox_id)
    assert seen is not None
    assert (seen.running, seen.exit_code, seen.oom_killed) == (False, 137, True)
    await runtime.close()


async def test_stats_without_the_hosts_control_groups(docker: DockerSubject) -> None:
    """The engine tells about the same, for a control plane that cannot see them, and quickly."""
    runtime = docker.runtime
    assert isinstance(runtime, DockerRuntime)
    launched = await docker.launch()
    async with docker.greeted(launched), asyncio.timeout(1.0):
        container = await runtime._containers.container_id(launched.sandbox_id)
        assert container is not None
        told = await runtime._containers.usage(container)
        read = await runtime.stats(launched.sandbox_id)
    assert told.process_count == read.process_count
    assert abs(told.memory_bytes - read.memory_bytes) < 16 * MIB
