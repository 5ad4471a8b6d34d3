"""The template in local mode, started by the real boot: forks, file helpers, scores, and nothing left at the end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbank_runner import channel
from sandbank_runner.files.protocol import FrameSocket, pack_header, parse_header

SUPERVISOR = """
import signal, socket, sys
from sandbank_runner.supervisor.boot import boot
from sandbank_runner.supervisor.config import take_from_environment
booted = boot(take_from_environment())
socket.send_fds(socket.socket(fileno=int(sys.argv[1])), [b"x"], [booted.template_socket.fileno()])
booted.template_socket.close()
signal.pause()
"""
"""A supervisor that boots and then gives its end of the template's channel to the test."""


class Sandbox:
    """A booted sandbox. The test holds the template's channel in the supervisor's stead."""

    def __init__(self, directory: Path, **config) -> None:
        self.workspace = directory / "workspace"
        self.temporary = directory / "tmp"
        self.workspace.mkdir()
        self.temporary.mkdir()
        self.id = f"sb-{os.urandom(6).hex()}"
        value = {
            "sandbox_id": self.id,
            "mode": "local",
            "socket_path": str(directory / "socket"),
            "workspace": str(self.workspace),
            "temporary": str(self.temporary),
            **config,
        }
        environment = {**os.environ, "SANDBANK_SANDBOX": json.dumps(value), "SECRET": "secret"}
        lent, borrowed = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, str(lent.fileno())],
            env=environment,
            pass_fds=[lent.fileno()],
        )
        lent.close()
        borrowed.settimeout(30)
        _, descriptors, _, _ = socket.recv_fds(borrowed, 1, 1)
        borrowed.close()
        self.template = channel.Channel(socket.socket(fileno=descriptors[0]))
        self.ready = self.template.receive().header
        self.children: list[Interpreter] = []

    def ask(self, kind: str, descriptors: tuple[int, ...] = (), **fields) -> dict:
        """Give the template a command and return its answer."""
        self.template.send({"type": kind, **fields}, (), descriptors)
        return self.template.receive().header

    def fork(self) -> Interpreter:
        """Fork an interpreter."""
        self.children.append(Interpreter(self))
        return self.children[-1]

    def processes(self) -> list[int]:
        """Return all processes of this sandbox but the supervisor."""
        mark = f"SANDBANK_SANDBOX_ID={self.id}".encode()
        found = []
        for name in filter(str.isdecimal, os.listdir("/proc")):
            try:
                if mark in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    found.append(int(name))
            except OSError:
                continue
        return found

    def close(self) -> None:
        """End the supervisor as a crash would, and wait until nothing is left of the sandbox."""
        self.process.kill()
        self.process.wait()
        self.template.sock.close()
        for child in self.children:
            child.close()
        deadline = time.monotonic() + 20
        while self.processes():
            assert time.monotonic() < deadline, "processes outlived their supervisor"


class Interpreter:
    """One interpreter, and what the supervisor holds of it."""

    def __init__(self, sandbox: Sandbox) -> None:
        ours, theirs = channel.pair()
        self.stdout, out = os.pipe()
        self.stderr, err = os.pipe()
        self.answer = sandbox.ask("fork", (theirs.fileno(), out, err))
        for descriptor in (out, err):
            os.close(descriptor)
        theirs.close()
        ours.settimeout(30)
        self.channel = channel.Channel(ours)
        self.ready = self.channel.receive()
        self.pid = self.answer["pid"]

    def run(self, code: str) -> str:
        """Run code; return what it printed. AssertionError with its traceback when it raised."""
        self.channel.send({"type": "execute", "operation": "o", "execution_count": 1}, (code.encode(),))
        while (message := self.channel.receive().header)["type"] != "done":
            pass
        os.set_blocking(self.stdout, False)
        try:
            text = os.read(self.stdout, 1 << 20).decode()
        except BlockingIOError:
            text = ""
        assert message["ok"], message["error"]["traceback_text"]
        return text

    def value(self, expression: str):
        """Return the value of an expression, by JSON."""
        return json.loads(self.run(f"import json; print(json.dumps({expression}))"))

    def close(self) -> None:
        """Let go of everything."""
        self.channel.close()
        for descriptor in (self.stdout, self.stderr):
            os.close(descriptor)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A booted sandbox in local mode; at its end nothing of it lives."""
    made = Sandbox(tmp_path)
    yield made
    made.close()


def test_the_template_says_what_it_is_and_what_it_lacks(sandbox: Sandbox):
    """Local mode has no users of its own, and says so."""
    assert sandbox.ready["type"] == "ready"
    assert sandbox.ready["failed"] == {}
    assert sandbox.ready["python_version"] == ".".join(map(str, sys.version_info[:3]))
    assert {"users", "process-limit"} <= set(sandbox.ready["missing_walls"])


def test_an_interpreter_is_a_child_of_the_supervisor_with_nothing_of_its_own_but_its_channel(
    sandbox: Sandbox,
):
    """Parent, session, descriptors, limits, priority, score, environment."""
    child = sandbox.fork()
    assert child.ready.header["type"] == "ready"
    assert child.ready.pid == child.pid
    assert child.value("[__import__('os').getppid(), __import__('os').getsid(0)]") == [
        sandbox.process.pid,
        child.pid,
    ]
    child.run("import os, resource, sys")
    found = child.value("[os.readlink(f'/proc/self/fd/{f}') for f in (0, 1, 2, 250)]")
    child.run("numbers = [f'/proc/self/fd/{f}' for f in os.listdir('/proc/self/fd')]")
    listed = child.value("{p: os.readlink(p) for p in numbers if os.path.lexists(p)}")
    assert found[0] == "/dev/null"
    assert set(listed.values()) == set(found)  # the interpreter's spare copies, and nothing of anybody else's
    assert child.value("os.get_inheritable(250)") is False
    assert child.value("resource.getrlimit(resource.RLIMIT_NOFILE)") == [1024, 1028]
    assert child.value("resource.getrlimit(resource.RLIMIT_CORE)") == [0, 0]
    assert child.value("os.nice(0)") >= 10
    assert child.value("len(os.sched_getaffinity(0))") == 1
    assert child.value("int(open('/proc/self/oom_score_adj').read())") >= 600
    assert child.value("os.getcwd()") == str(sandbox.workspace)
    assert child.value("[os.environ['HOME'], os.environ['TMPDIR'], os.environ.get('SECRET')]") == [
        str(sandbox.workspace), str(sandbox.temporary), None,
    ]  # fmt: skip
    status = child.run("print(open('/proc/self/status').read())").splitlines()
    assert {"NoNewPrivs:\t1", "Threads:\t1"} <= set(status)


def test_forks_have_random_numbers_of_their_own(sandbox: Sandbox):
    """Two interpreters of one template do not draw the same."""
    draws = {sandbox.fork().run("import random; print(random.random())") for _ in range(3)}
    assert len(draws) == 3


def test_user_code_writes_in_its_workspace_and_nowhere_else(sandbox: Sandbox, tmp_path: Path):
    """Landlock holds in local mode too."""
    if "landlock" in sandbox.ready["missing_walls"]:
        pytest.skip("this kernel has no Landlock")
    child = sandbox.fork()
    child.run("open('mine', 'w').write('1'); import tempfile; tempfile.NamedTemporaryFile().write(b'2')")
    with pytest.raises(AssertionError, match="PermissionError"):
        child.run(f"open({str(tmp_path / 'not-mine')!r}, 'w')")
    (tmp_path / "theirs").write_text("theirs")
    with pytest.raises(AssertionError, match="PermissionError"):
        child.run(f"open({str(tmp_path / 'theirs')!r})")
    assert (sandbox.workspace / "mine").read_text() == "1"


def test_user_code_cannot_reach_its_supervisor(sandbox: Sandbox):
    """Neither by signals nor by its memory; kill(-1) hits its own processes only."""
    if "landlock-scope" in sandbox.ready["missing_walls"] or "landlock" in sandbox.ready["missing_walls"]:
        pytest.skip("this kernel's Landlock does not confine signals")
    child = sandbox.fork()
    for attack in (
        "import os; os.kill(os.getppid(), 9)",
        "import os; open(f'/proc/{os.getppid()}/mem', 'rb')",
        f"import os; os.kill({sandbox.ready['pid']}, 9)",
    ):
        with pytest.raises(AssertionError, match="PermissionError"):
            child.run(attack)
    # A signal that hurts nobody who does not wait for it: a wall with a hole must not cost the machine.
    waits = (
        "import signal; signal.pthread_sigmask(0, {23}); print('x', flush=True); "
        "signal.sigtimedwait({23}, 2) and print('hit')"
    )
    with subprocess.Popen([sys.executable, "-c", waits], stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == b"x\n"
        child.run("import os, subprocess, sys")
        child.run(f"own = subprocess.Popen([sys.executable, '-c', {waits!r}], stdout=subprocess.PIPE)")
        child.run("assert own.stdout.readline() == b'x\\n'; os.kill(-1, 23)")
        assert child.run("print(own.communicate()[0].decode())") == "hit\n\n"
        assert stranger.communicate()[0] == b""
    assert sandbox.process.poll() is None
    assert sandbox.fork().run("print(1)") == "1\n"


def test_a_file_helper_serves_one_request_and_ends(sandbox: Sandbox):
    """On the socket that it was given."""
    (sandbox.workspace / "f").write_text("abc")
    ours, theirs = socket.socketpair()
    ours.settimeout(30)
    answer = sandbox.ask("files", (theirs.fileno(),))
    assert answer["type"] == "forked"
    theirs.close()
    with ours:
        frames = FrameSocket(ours)
        frames.send(pack_header({"request": "stat", "path": "f", "with_sha256": True}))
        entry = parse_header(frames.receive()[1])["entry"]
        assert (entry["size_bytes"], len(entry["sha256"])) == (3, 64)
        with pytest.raises(EOFError):
            frames.receive()


def test_a_keeper_serves_until_its_socket_ends(sandbox: Sandbox):
    """It brings the workspace back from behind the walls of a file helper, and dies late when memory runs out."""
    (sandbox.workspace / "d").mkdir()
    (sandbox.workspace / "d" / "f").write_text("abc")
    (sandbox.workspace / "closed").mkdir(mode=0)
    ours, theirs = socket.socketpair()
    ours.settimeout(30)
    pid = sandbox.ask("keeper", (theirs.fileno(),))["pid"]
    theirs.close()
    with ours:
        frames = FrameSocket(ours)
        frames.send(pack_header({"request": "base", "number": 1, "limit": 1000}))
        assert parse_header(frames.receive()[1])["copied_bytes"] == 3
        assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "300\n"
        (sandbox.workspace / "d" / "f").write_text("changed")
        (sandbox.workspace / "d").rename(sandbox.workspace / "e")
        (sandbox.workspace / "closed").rmdir()
        os.mkfifo(sandbox.workspace / "fifo")
        frames.send(pack_header({"request": "restore", "number": 1}))
        assert parse_header(frames.receive()[1]) == {"written_bytes": 3}
        assert sorted(path.name for path in sandbox.workspace.iterdir()) == ["closed", "d"]
        assert (sandbox.workspace / "d" / "f").read_text() == "abc"
        assert (sandbox.workspace / "closed").stat().st_mode & 0o777 == 0
    deadline = time.monotonic() + 20
    while pid in sandbox.processes():
        assert time.monotonic() < deadline, "the keeper outlived its socket"


def test_the_score_of_an_interpreter_can_be_set(sandbox: Sandbox):
    """And a wrong request is an answer."""
    child = sandbox.fork()
    assert sandbox.ask("protect", pid=child.pid, value=900) == {"type": "protected"}
    assert Path(f"/proc/{child.pid}/oom_score_adj").read_text() == "900\n"
    for wrong in ({}, {"pid": 1, "value": 5}, {"pid": child.pid, "value": -5}, {"pid": "1", "value": 5}):
        assert sandbox.ask("protect", **wrong)["type"] == "failed"


def test_a_command_that_fails_costs_only_itself(sandbox: Sandbox):
    """Unknown, without descriptors, with too many; none of them stays open in the template."""
    before = len(os.listdir(f"/proc/{sandbox.ready['pid']}/fd"))
    null = os.open("/dev/null", os.O_RDWR)
    assert sandbox.ask("dance")["type"] == "failed"
    assert sandbox.ask("fork")["type"] == "failed"
    assert sandbox.ask("files", (null, null))["type"] == "failed"
    assert sandbox.ask("sweep")["type"] == "failed"
    os.close(null)
    assert sandbox.fork().run("print(1)") == "1\n"
    assert len(os.listdir(f"/proc/{sandbox.ready['pid']}/fd")) == before


def test_nothing_outlives_a_killed_supervisor(sandbox: Sandbox):
    """Template, interpreter, and what user code started in a session of its own: the fixture waits for it."""
    child = sandbox.fork()
    child.run("import subprocess; p = subprocess.Popen(['sleep', '1000'], start_new_session=True)")
    # Popen returns in the middle of the exec, a moment before the new program's environment can be read.
    deadline = time.monotonic() + 20
    while len(sandbox.processes()) != 3:
        assert time.monotonic() < deadline, sandbox.processes()


def test_a_module_that_fails_to_load_is_named(tmp_path: Path):
    """So is one that leaves a thread behind: no interpreter could be forked."""
    made = Sandbox(
        tmp_path,
        preload=["json", "no_such_module", "tests.unit.runner.walls.leaves_a_thread"],
        environment={"PYTHONPATH": str(Path(__file__).parents[4])},
    )
    try:
        failed = made.ready["failed"]
        assert "ModuleNotFoundError" in failed["no_such_module"]
        assert "1 threads" in failed["tests.unit.runner.walls.leaves_a_thread"]
        assert "json" not in failed
        null = os.open("/dev/null", os.O_RDWR)
        assert "2 threads" in made.ask("fork", (null, null, null))["message"]
        os.close(null)
    finally:
        made.close()
