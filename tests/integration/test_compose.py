"""The control plane in a container, through docker-compose.yml, with both generations of the tool."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from sandbank import Client

from tests.compose_tools import ROOT, NoTool, compose_tool
from tests.engine import engine_required

pytestmark = pytest.mark.engine

LONG_RUNNING = """
import time
for number in range(60):
    print(number, flush=True)
    time.sleep(0.1)
"""


@dataclass(frozen=True)
class Stack:
    """A project of its own, on a port and a data directory of its own."""

    engine: docker.APIClient
    project: str
    port: int
    data_dir: Path
    tool: str

    @property
    def environment(self) -> dict[str, str]:
        """What `make up` and the tool are called with."""
        settings = {
            "SANDBANK_COMPOSE_TOOL": self.tool,
            "SANDBANK_COMPOSE_PROJECT": self.project,
            "SANDBANK_COMPOSE_PORT": str(self.port),
            "SANDBANK_DATA_DIR": str(self.data_dir),
            "SANDBANK_MIN_READY": "slim=1,data=0",
        }
        return {**os.environ, **settings}

    def script(self, action: str) -> None:
        """Do what `make up` or `make down` does."""
        done = subprocess.run(
            [ROOT / "scripts" / "compose", action],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def compose(self, *arguments: str) -> None:
        """Call the tool itself."""
        command = [*self.tool.split(), "-f", str(ROOT / "docker-compose.yml"), "-p", self.project, *arguments]
        subprocess.run(command, env=self.environment, check=True, capture_output=True)

    def container(self) -> str:
        """Return the control plane's container."""
        (found,) = self.engine.containers(filters={"label": f"com.docker.compose.project={self.project}"})
        return str(found["Id"])

    def sandboxes(self) -> list[str]:
        """Return the containers that have a directory of this stack's mounted, the control plane's but."""
        return [
            each["Id"]
            for each in self.engine.containers(all=True, filters={"label": "sandbank.sandbox"})
            if any(str(mount["Source"]).startswith(f"{self.data_dir}/") for mount in each["Mounts"])
        ]

    def leftovers(self) -> list[str]:
        """Return what the engine still has of the project, and the directories of its sandboxes."""
        filters = {"label": f"com.docker.compose.project={self.project}"}
        return [
            *(each["Id"] for each in self.engine.containers(all=True, filters=filters)),
            *(each["Name"] for each in self.engine.networks(filters=filters)),
            *(each["Name"] for each in self.engine.volumes(filters=filters)["Volumes"] or ()),
            *self.sandboxes(),
            *os.listdir(self.data_dir / "sandboxes"),
        ]


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    """A running stack, and whatever happens, none afterwards."""
    try:
        tool = compose_tool(request.param)
    except NoTool as missing:
        if engine_required():
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    engine = docker.APIClient(version="auto", timeout=60)
    made = Stack(engine, f"sandbank-test-{secrets.token_hex(4)}", port, tmp_path / "data", tool)
    try:
        made.script("up")
        yield made
    finally:
        made.compose("down", "--volumes", "--remove-orphans")
        for sandbox in made.sandboxes():
            engine.remove_container(sandbox, v=True, force=True)
        engine.close()


def test_session_outlives_the_control_planes_container(stack: Stack) -> None:
    """Up, a session, a restart in the middle of its work, and down with the session open: nothing is left behind."""
    health = stack.engine.inspect_container(stack.container())["State"]["Health"]["Status"]
    assert health == "healthy"
    with Client(f"127.0.0.1:{stack.port}") as client:
        session = client.session(template="slim")
        session.run("kept = 41")
        execution = session.execute(LONG_RUNNING)
        events = iter(execution)
        next(events)
        before = stack.sandboxes()
        stack.compose("restart", "control-plane")
        result = execution.result()
        # Not one line lost, not one twice, over the restart.
        assert result.stdout.split() == [str(number) for number in range(60)]
        assert session.run("kept + 1").value == 42
        assert set(stack.sandboxes()) & set(before)
    stack.script("down")
    assert stack.leftovers() == []
