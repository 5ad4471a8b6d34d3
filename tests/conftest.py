"""What all tests share: the engine's marker, real servers, and the check that nothing is left behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sandbank import Client, Session

from tests.engine import engine_problem, engine_required
from tests.leftovers import leftovers
from tests.postgres import postgres_problem
from tests.raw_api import Api, connected
from tests.server_process import ServerProcess, serving

# How long an example takes says how much else the machine has to do; against hanging every test has its limit.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

RUNTIMES = [pytest.param("docker", marks=pytest.mark.engine), "local"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs an engine where there is none; in CI that is a failure."""
    if item.get_closest_marker("engine") is not None and (problem := engine_problem()):
        if engine_required():
            pytest.fail(f"no Docker Engine: {problem}", pytrace=False)
        pytest.skip(f"no Docker Engine: {problem}")
    if item.get_closest_marker("postgres") is not None and (problem := postgres_problem()):
        if engine_required():
            pytest.fail(problem, pytrace=False)
        pytest.skip(problem)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the walls first.

    They change users in forked children, which glibc does by signalling every thread that it knows of: in a child of a
    process that has had threads (grpc's, docker's) it aborts. The template, which forks for real, has one thread only.
    """
    items.sort(key=lambda item: "unit/runner/walls" not in item.nodeid)


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as pytest's own, by a shorter name: sockets lie in it, whose paths have 107 bytes at most."""
    return tmp_path_factory.mktemp(re.sub(r"\W", "_", request.node.name)[:16])


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """After the suite no container, process or mount of its making is left."""
    yield
    assert leftovers(tmp_path_factory.getbasetemp()) == []


@pytest.fixture(scope="module", params=RUNTIMES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A control plane with a small pool of `slim` sandboxes, on each runtime."""
    process = ServerProcess(
        request.param, tmp_path_factory.mktemp("server"), ("--min-ready", "slim=2,data=0")
    )
    with serving(process):
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    """A client of :func:`server`."""
    with Client(server.address) as connected:
        yield connected


@pytest.fixture
def session(client: Client) -> Iterator[Session]:
    """A fresh session."""
    with client.session(template="slim") as made:
        yield made


@pytest.fixture
def unsaved(client: Client) -> Iterator[Session]:
    """A fresh session that has those checkpoints only that a test makes."""
    with client.session(template="slim", checkpoint_policy="none") as made:
        yield made


@pytest.fixture
def api(server: ServerProcess) -> Iterator[Api]:
    """The bare stubs on :func:`server`."""
    with connected(server.address) as bare:
        yield bare
