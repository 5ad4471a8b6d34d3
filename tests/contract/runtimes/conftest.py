"""Both runtimes with the real runner, and ways to look at what they leave on the machine."""

from __future__ import annotations

import asyncio
import os
import secrets
import select
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import docker
import pytest
from sandbank_runner.v1 import runner_pb2
from sandbank_server.runners.link import RunnerLink
from sandbank_server.runtimes.base import LaunchedSandbox, ObservedSandbox, SandboxRuntime, SandboxSpec
from sandbank_server.runtimes.docker import DockerRuntime, DockerSettings
from sandbank_server.runtimes.local import LocalRuntime, LocalSettings
from sandbank_server.templates.build import build_template
from sandbank_server.templates.engine import ImageEngine
from sandbank_server.templates.model import TemplateSpec
from sandbank_server.templates.options import BuildOptions, default_cache_directory

SLIM = TemplateSpec(name="slim")
START_SECONDS = 60.0


class Subject(ABC):
    """One runtime on one data directory, restartable, with the tester's own eyes on the machine."""

    image = "none"

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.runtime = self.new_runtime()

    @abstractmethod
    def new_runtime(self) -> SandboxRuntime:
        """Make a runtime object that knows nothing yet."""

    @abstractmethod
    def kill(self, sandbox_id: str) -> None:
        """Kill a sandbox's first process with SIGKILL, as an accident would."""

    @abstractmethod
    def traces(self) -> list[str]:
        """Say what of this installation's sandboxes is on the machine, beside processes."""

    def spec(self, **labels: str) -> SandboxSpec:
        """Describe a new sandbox."""
        sandbox_id = "sb-" + secrets.token_hex(6)
        return SandboxSpec(sandbox_id, SLIM, self.image, labels)

    async def launch(self, **labels: str) -> LaunchedSandbox:
        """Launch a new sandbox."""
        return await self.runtime.launch(self.spec(**labels))

    async def restart(self) -> None:
        """Put a new runtime object in the place of the old one, as a new control plane would."""
        await self.runtime.close()
        self.runtime = self.new_runtime()
        await self.runtime.start()

    async def observe(self, sandbox_id: str) -> ObservedSandbox | None:
        """Return what the listing says of one sandbox."""
        found = [seen for seen in await self.runtime.list_sandboxes() if seen.sandbox_id == sandbox_id]
        assert len(found) < 2
        return found[0] if found else None

    @asynccontextmanager
    async def greeted(self, launched: LaunchedSandbox) -> AsyncIterator[RunnerLink]:
        """Connect as the control plane does, Hello included."""
        link = await RunnerLink.connect(launched.endpoint, launched.sandbox_id, START_SECONDS)
        try:
            yield link
        finally:
            await link.close()


class DockerSubject(Subject):
    """Real containers."""

    def __init__(self, data_dir: Path) -> None:
        self.installation = "contract-" + secrets.token_hex(4)
        self.image = image_of(SLIM)
        self.engine = docker.APIClient(version="auto", timeout=60)
        super().__init__(data_dir)

    def new_runtime(self) -> DockerRuntime:
        return DockerRuntime(DockerSettings(self.installation, self.data_dir))

    def kill(self, sandbox_id: str) -> None:
        self.engine.kill(f"sandbank-{self.installation}-{sandbox_id}")

    def traces(self) -> list[str]:
        containers = self.engine.containers(
            all=True, filters={"label": f"sandbank.installation={self.installation}"}
        )
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        return [
            *(each["Names"][0] for each in containers),
            *os.listdir(self.data_dir / "sandboxes"),
            *(line for line in mounts if str(self.data_dir) in line),
        ]


class LocalSubject(Subject):
    """Processes of this user."""

    def new_runtime(self) -> LocalRuntime:
        return LocalRuntime(LocalSettings(self.data_dir))

    def kill(self, sandbox_id: str) -> None:
        (pid,) = (pid for pid, command in processes() if command.split(b"\0")[-2:-1] == [sandbox_id.encode()])
        descriptor = os.pidfd_open(pid)
        os.kill(pid, 9)
        select.select([descriptor], [], [])
        os.close(descriptor)

    def traces(self) -> list[str]:
        return os.listdir(self.data_dir / "local")


def processes() -> list[tuple[int, bytes]]:
    """Return the number and the command line of all living processes."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            command = Path(f"/proc/{name}/cmdline").read_bytes()
            if command:
                found.append((int(name), command))
    return found


def processes_of(sandbox_id: str) -> list[int]:
    """Return the processes that carry a sandbox's id in their arguments or environment."""
    found = []
    for pid, command in processes():
        with suppress(OSError):
            if sandbox_id.encode() in command + Path(f"/proc/{pid}/environ").read_bytes():
                found.append(pid)
    return found


def image_of(template: TemplateSpec) -> str:
    """Return the image of a template, built if need be."""
    if template.name not in _IMAGES:
        engine = ImageEngine.connect()
        try:
            options = BuildOptions(default_cache_directory(os.environ))
            _IMAGES[template.name] = build_template(engine, template, options).reference
        finally:
            engine.close()
    return _IMAGES[template.name]


_IMAGES: dict[str, str] = {}


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.engine), "local"])
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    """Each runtime, started; at its end nothing of it may be left."""
    made = DockerSubject(tmp_path) if request.param == "docker" else LocalSubject(tmp_path)
    await made.runtime.start()
    try:
        yield made
        for seen in await made.runtime.list_sandboxes():
            await made.runtime.destroy(seen.sandbox_id)
        assert made.traces() == []
    finally:
        await made.runtime.close()
        if isinstance(made, DockerSubject):
            made.engine.close()


class Finish:
    """A link's sink that waits for the end of one operation."""

    def __init__(self) -> None:
        self.finished = asyncio.Event()

    def on_events(self, events: runner_pb2.Events) -> None:
        """See the last one."""
        if events.finished:
            self.finished.set()

    def on_background(self, background: runner_pb2.Background) -> None:
        """Ignore."""

    def on_interpreter_replaced(self, replaced: runner_pb2.InterpreterReplaced) -> None:
        """Ignore."""

    def on_transaction_changed(self, changed: runner_pb2.TransactionChanged) -> None:
        """Ignore."""


async def run_code(link: RunnerLink, code: str) -> None:
    """Run user code in a sandbox to its end, as its session would."""
    finish = Finish()
    link.set_sink(finish)
    await link.request(assign=runner_pb2.Assign(session_id="s-contract"))
    submit = runner_pb2.Submit(operation_id="op-1", code=code, max_output_bytes=1 << 20)
    submit.timeout.FromSeconds(60)
    link.submit(submit)
    async with asyncio.timeout(60):
        await finish.finished.wait()


def preloading(spec: SandboxSpec, *modules: str) -> SandboxSpec:
    """Return ``spec`` with other modules to preload."""
    return replace(spec, template=replace(spec.template, preload=modules))
