"""Calls to engines that are away, hang, refuse or talk nonsense; every one with a real socket."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sandbank_server.runtimes.base import LaunchFailed, RuntimeUnavailable, SandboxSpec
from sandbank_server.runtimes.docker import DockerRuntime, DockerSettings
from sandbank_server.runtimes.docker.engine import Engine, EngineAbsent, EngineRefused
from sandbank_server.templates.model import TemplateSpec

from tests.fakes.docker_api import Handler, fake_engine, mute_engine

SPEC = SandboxSpec("sb-0123456789ab", TemplateSpec("slim"), "sandbank-slim:1")


@pytest.fixture
def settings(tmp_path: Path) -> DockerSettings:
    """Settings for an engine at ``engine.sock`` that gets a second for each call."""
    return DockerSettings(
        "test",
        tmp_path / "data",
        engine_url=f"unix://{tmp_path}/engine.sock",
        call_seconds=1.0,
        parallel_calls=2,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the engine listens."""
    return tmp_path / "engine.sock"


async def test_absent_engine_is_unavailable(settings: DockerSettings) -> None:
    """No socket at all: the message names it and says what to do."""
    runtime = DockerRuntime(settings)
    try:
        with pytest.raises(RuntimeUnavailable, match=r"engine\.sock does not answer .*No such file.*check"):
            await runtime.start()
    finally:
        await runtime.close()


async def test_refusing_engine_is_unavailable(settings: DockerSettings, path: Path) -> None:
    """A socket that a dead engine left behind refuses connections."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        runtime = DockerRuntime(settings)
        with pytest.raises(RuntimeUnavailable, match="refused"):
            await runtime.start()
        await runtime.close()


async def test_hanging_engine_fails_callers_and_nothing_else(settings: DockerSettings, path: Path) -> None:
    """An engine that never answers costs each caller its time; the loop runs on meanwhile."""
    with mute_engine(path):
        engine = Engine(settings)
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        began = time.monotonic()
        calls = (engine.call("asking", lambda client: client.info()) for _ in range(4))
        results = await asyncio.gather(*calls, return_exceptions=True)
        ticking.cancel()
        engine.close()
        assert [type(result) for result in results] == [EngineAbsent] * 4
        assert time.monotonic() - began < 8
        assert ticks > 50


async def test_engine_that_never_accepts_is_unavailable(settings: DockerSettings, path: Path) -> None:
    """A full queue of connections is told at once."""
    with mute_engine(path, backlog=0), socket.socket(socket.AF_UNIX) as queued:
        queued.connect(str(path))
        runtime = DockerRuntime(settings)
        with pytest.raises(RuntimeUnavailable, match="unavailable"):
            await runtime.start()
        await runtime.close()


async def test_launch_with_a_hanging_engine_fails_in_time(settings: DockerSettings, path: Path) -> None:
    """An engine that hangs after it had started: launch fails, and its directory goes once the engine is back."""
    hang = threading.Event()

    def answer(handler: Handler, path: str) -> None:
        if "/containers/create" in path and not hang.is_set():
            hang.set()
            handler.server.over.wait(30)
        elif "/containers/json" in path:
            handler.json([])
        elif handler.command == "DELETE":
            handler.json({"message": "No such container"}, 404)
        else:
            handler.json(GOOD_INFO)

    with fake_engine(path, answer):
        runtime = DockerRuntime(settings)
        await runtime.start()
        with pytest.raises(RuntimeUnavailable, match="timed out"):
            await runtime.launch(SPEC)
        await runtime.close()
        assert list((settings.data_dir / "sandboxes").iterdir()) == []


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (404, "No such image: sandbank-slim:1", "there is no image sandbank-slim:1: build it with"),
        (409, "Conflict. The container name is already in use", "already in use"),
        (400, "invalid mount config for type", "invalid mount config"),
        (500, "OCI runtime create failed:\nno space\x1b left", "OCI runtime create failed: no space"),
    ],
)
async def test_refusals_are_failed_launches(
    settings: DockerSettings, path: Path, status: int, message: str, expected: str
) -> None:
    """What the engine does not want to start is a LaunchFailed with its reason, on one line; nothing stays."""

    def answer(handler: Handler, path: str) -> None:
        if "/containers/create" in path:
            length = int(handler.headers["Content-Length"])
            handler.rfile.read(length)
            handler.json({"message": message}, status)
        elif "/containers/json" in path:
            handler.json([])
        elif handler.command == "DELETE":
            handler.json({"message": "No such container"}, 404)
        else:
            handler.json(GOOD_INFO)

    with fake_engine(path, answer):
        runtime = DockerRuntime(settings)
        await runtime.start()
        with pytest.raises(LaunchFailed, match=expected) as failed:
            await runtime.launch(SPEC)
        assert "\n" not in str(failed.value)
        assert list((settings.data_dir / "sandboxes").iterdir()) == []
        await runtime.close()


def _garbage(handler: Handler, path: str) -> None:
    handler.wfile.write(b"\x00\x01garbage\r\n\r\n")
    handler.close_connection = True


def _not_json(handler: Handler, path: str) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "3")
    handler.end_headers()
    handler.wfile.write(b"}{!")


def _hang_up(handler: Handler, path: str) -> None:
    handler.close_connection = True


@pytest.mark.parametrize("answer", [_garbage, _not_json, _hang_up])
async def test_nonsense_is_unavailable(
    settings: DockerSettings, path: Path, answer: Callable[[Handler, str], None]
) -> None:
    """Whatever an engine says that is no answer makes it unavailable; no other error gets out."""
    with fake_engine(path, answer):
        engine = Engine(settings)
        with pytest.raises(RuntimeUnavailable):
            await engine.call("asking", lambda client: client.info())
        engine.close()


async def test_refusal_carries_the_engines_words(settings: DockerSettings, path: Path) -> None:
    """An error status is a refusal, with status and explanation."""
    with fake_engine(path, lambda handler, _: handler.json({"message": "no such thing"}, 404)):
        engine = Engine(settings)
        with pytest.raises(EngineRefused, match="no such thing") as refused:
            await engine.call("asking", lambda client: client.info())
        assert refused.value.not_found
        engine.close()


async def test_busy_container_is_removed_in_the_end(settings: DockerSettings, path: Path) -> None:
    """While somebody else removes it, or its mounts are let go of, destroy tries again until it is not found."""
    answers = [
        (409, "removal of container sb is already in progress"),
        (500, "driver failed to remove root filesystem: device or resource busy"),
        (404, "No such container"),
    ]

    def answer(handler: Handler, path: str) -> None:
        status, message = answers.pop(0)
        handler.json({"message": message}, status)

    with fake_engine(path, answer):
        runtime = DockerRuntime(settings)
        await runtime.destroy(SPEC.sandbox_id)
        assert answers == []
        await runtime.close()


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:2375", "ssh://host", "/var/run/docker.sock", ""])
async def test_only_engines_of_this_host(settings: DockerSettings, url: str) -> None:
    """Sandboxes are reached through directories: an engine elsewhere is refused before anything is asked of it."""
    with pytest.raises(RuntimeUnavailable, match="unix://"):
        DockerRuntime(DockerSettings("test", settings.data_dir, engine_url=url))


@pytest.mark.parametrize("installation", ["", "Main", "a_b", "x" * 41, "-a", "a b", "a/b"])
async def test_installation_ids_become_names(settings: DockerSettings, installation: str) -> None:
    """What cannot be part of a container's name is refused."""
    with pytest.raises(ValueError, match="installation"):
        DockerRuntime(DockerSettings(installation, settings.data_dir))


async def test_data_directory_is_absolute() -> None:
    """The engine mounts it: a relative path would mean another place there."""
    with pytest.raises(RuntimeUnavailable, match="absolute"):
        DockerRuntime(DockerSettings("test", Path("data")))


async def test_users_are_a_usable_range(settings: DockerSettings) -> None:
    """Root is in no range."""
    with pytest.raises(RuntimeUnavailable, match="no usable range"):
        DockerRuntime(replace(settings, first_uid=0))


GOOD_INFO = {
    "OSType": "linux",
    "SecurityOptions": ["name=seccomp"],
    "MemoryLimit": True,
    "SwapLimit": True,
    "CpuCfsQuota": True,
    "PidsLimit": True,
}
