"""The profile in force, in containers as the runtime makes them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from sandbank_server.runtimes.base import SandboxSpec
from sandbank_server.runtimes.docker.container import container_body
from sandbank_server.runtimes.docker.seccomp import read_profile
from sandbank_server.runtimes.docker.settings import DockerSettings
from sandbank_server.runtimes.docker.users import SandboxUsers
from sandbank_server.templates.model import SHIPPED_TEMPLATES, TemplateSpec

from tests.contract.runtimes.conftest import image_of

pytestmark = pytest.mark.engine

HERE = Path(__file__).parent
USERS = SandboxUsers(880_000, 880_001, 880_002, 880_003)
PYTHON = "/opt/sandbank/bin/python"

# What the template does before user code runs: become the sandbox's user, keep nothing. A file, because
# multiprocessing's spawn and loky import the main module from one.
AS_USER = f"""
import os, sys
os.setgroups([])
os.setresgid(*({USERS.interpreter},) * 3)
os.setresuid(*({USERS.interpreter},) * 3)
os.environ.update(HOME="/workspace", TMPDIR="/tmp", MPLCONFIGDIR="/tmp/mpl")
os.chdir("/workspace")
open("work.py", "w").write(sys.argv[1])
os.execv(sys.executable, [sys.executable, "work.py"])
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.APIClient]:
    """The engine itself."""
    client = docker.APIClient(version="auto", timeout=120)
    yield client
    client.close()


def run(engine: docker.APIClient, directory: Path, template: TemplateSpec, command: tuple[str, ...]) -> str:
    """Run a command where a supervisor would run, and return what it wrote; all walls but its own are up."""
    settings = DockerSettings("contract", directory, entrypoint=command)
    spec = SandboxSpec("sb-" + secrets.token_hex(6), template, image_of(template))
    body = container_body(spec, settings, USERS, str(directory), read_profile(None))
    container = engine.create_container_from_config(body)["Id"]
    try:
        engine.start(container)
        code = engine.wait(container)["StatusCode"]
        output: str = engine.logs(container).decode()
        assert code == 0, output[-4000:]
        return output
    finally:
        engine.remove_container(container, v=True, force=True)


def test_calls_answer_as_designed(engine: docker.APIClient, tmp_path: Path) -> None:
    """What can be done without is not there, attacks are forbidden, and what sandboxes need works."""
    source = (HERE / "seccomp_probe.py").read_text()
    results = json.loads(run(engine, tmp_path, SHIPPED_TEMPLATES["slim"], (PYTHON, "-c", source)))
    expected = dict.fromkeys(
        [
            "clone3",
            "io_uring_setup",
            "userfaultfd",
            "memfd_secret",
            "pkey_alloc",
            "io_setup",
            "splice",
            "execveat",
            "process_madvise",
            "msgget",
            "semget",
            "shmget",
            "mq_open",
            "name_to_handle_at",
            "mbind",
            "a_call_of_tomorrow",
        ],
        "ENOSYS",
    )
    expected |= dict.fromkeys(
        [
            "ptrace",
            "process_vm_readv",
            "keyctl",
            "perf_event_open",
            "bpf",
            "mount",
            "unshare",
            "setns",
            "sched_setscheduler",
            "ioprio_set",
            "clone_newuser",
            "clone_newnet",
            "clone_newns",
            "clone_newpid",
            "personality_change",
        ],
        "EPERM",
    )
    expected |= dict.fromkeys(
        (f"socket_{family}" for family in (0, 3, 16, 17, 31, 38, 40, 44)), "EAFNOSUPPORT"
    )
    expected |= dict.fromkeys(
        ("getpid", "sync", "personality_query", "socket_1", "socket_2", "socket_10", "snapshot_users"), "ok"
    )
    assert results == expected


def test_what_people_do_works(engine: docker.APIClient, tmp_path: Path) -> None:
    """The data template's packages, processes of every kind, shared memory, terminals, venv and asyncio run."""
    source = (HERE / "seccomp_workload.py").read_text()
    output = run(engine, tmp_path, SHIPPED_TEMPLATES["data"], (PYTHON, "-c", AS_USER, source))
    assert output.splitlines()[-1] == (
        "scientific fork spawn forkserver shared memory subprocess pty venv threads asyncio"
    )
