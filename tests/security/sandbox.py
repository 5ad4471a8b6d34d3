"""A real container with a real supervisor, spoken to as the control plane does, and looked at from the host."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import secrets
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import docker
from google.protobuf.duration_pb2 import Duration
from sandbank.v1.execution_pb2 import Operation, OperationEvent
from sandbank_runner.v1 import runner_pb2 as pb
from sandbank_server.runtimes.base import LaunchedSandbox, SandboxSpec
from sandbank_server.runtimes.dial import NotListening, open_socket
from sandbank_server.runtimes.docker import DockerRuntime, DockerSettings
from sandbank_server.templates.build import build_template
from sandbank_server.templates.engine import ImageEngine
from sandbank_server.templates.model import SHIPPED_TEMPLATES, TemplateSpec
from sandbank_server.templates.options import BuildOptions, default_cache_directory

SECONDS = 60.0
"""For anything that must happen at all."""
PROMPT_SECONDS = 2.0
"""For a sign of life of the supervisor, whatever user code does, on a machine that does other things too."""


@functools.cache
def image_of(template: str) -> str:
    """Return the image of a shipped template, built if need be."""
    engine = ImageEngine.connect()
    try:
        options = BuildOptions(default_cache_directory(os.environ))
        return build_template(engine, SHIPPED_TEMPLATES[template], options).reference
    finally:
        engine.close()


@dataclass(frozen=True)
class Ran:
    """What came of a piece of user code."""

    operation: Operation
    stdout: str
    stderr: str

    @property
    def state(self) -> str:
        """``SUCCEEDED``, ``FAILED``, ``TIMED_OUT``, ``CRASHED``."""
        return Operation.State.Name(self.operation.state).removeprefix("STATE_")

    @property
    def outcome(self) -> str:
        """``COMMITTED``, ``PARTIAL``, ``ROLLED_BACK``."""
        return Operation.Outcome.Name(self.operation.outcome).removeprefix("OUTCOME_")


class Sandbox:
    """One container. Made by :func:`running`."""

    def __init__(self, launched: LaunchedSandbox, installation: str) -> None:
        self.id = launched.sandbox_id
        self._endpoint = launched.endpoint
        self._container = f"sandbank-{installation}-{launched.sandbox_id}"
        self._socket, self.hello = self._dial(pb.PURPOSE_CONTROL)
        self._number = 0
        self._ask(assign=pb.Assign(session_id="s"))

    def run(self, code: str, *, timeout: float = 30.0, **fields: Any) -> Ran:
        """Run code to its end; ``fields`` are further ones of ``Submit``."""
        self._number += 1
        operation_id = f"op-{self._number}"
        submit = pb.Submit(
            operation_id=operation_id,
            code=code,
            max_output_bytes=1 << 20,
            timeout=_duration(timeout),
            **fields,
        )
        submit.create_time.GetCurrentTime()
        self._send(submit=submit)
        written: dict[int, list[bytes]] = {1: [], 2: []}
        while True:
            message = self._receive()
            if message.WhichOneof("message") != "events" or message.events.operation_id != operation_id:
                continue
            for event in map(OperationEvent.FromString, message.events.events):
                if event.WhichOneof("event") == "output":
                    written[event.output.stream].append(event.output.data)
                if event.WhichOneof("event") == "finished":
                    texts = (b"".join(written[stream]).decode(errors="replace") for stream in (1, 2))
                    return Ran(event.finished.operation, *texts)

    def value(self, code: str, *, timeout: float = 30.0) -> Any:
        """Run code whose last printed line is JSON and return that. AssertionError when it did not succeed."""
        ran = self.run(code, timeout=timeout)
        assert ran.state == "SUCCEEDED", f"{ran.state}\n{ran.operation.error.traceback_text}\n{ran.stderr}"
        return json.loads(ran.stdout.splitlines()[-1])

    def begin(self, code: str, *, timeout: float = SECONDS) -> None:
        """Start code and do not wait for it: the sandbox is busy with it until :meth:`reset`."""
        self._number += 1
        submit = pb.Submit(operation_id=f"op-{self._number}", code=code, timeout=_duration(timeout))
        submit.max_output_bytes = 1 << 20
        submit.create_time.GetCurrentTime()
        self._send(submit=submit)

    def ping(self) -> tuple[pb.Pong, float]:
        """Return a sign of life and how many seconds it took."""
        begin = time.monotonic()
        return self._ask(ping=pb.Ping()).pong, time.monotonic() - begin

    def reset(self, *, keep_files: bool = False) -> None:
        """Replace the interpreter, and empty the workspace."""
        assert not self._ask(reset=pb.Reset(keep_files=keep_files)).HasField("failure")

    def still_serves(self) -> None:
        """Assert that this very supervisor answers promptly, lets others in, and runs code."""
        _, took = self.ping()
        assert took < PROMPT_SECONDS
        self._socket.close()
        self._socket, hello = self._dial(pb.PURPOSE_CONTROL)
        assert hello.boot_id == self.hello.boot_id
        assert self.run("print(6 * 7)").stdout == "42\n"

    def file(self, *chunks: bytes, **request: Any) -> pb.FileReply:
        """Make one file request and return its answer."""
        sock, _ = self._dial(pb.PURPOSE_FILES)
        with sock:
            _send(sock, pb.ToRunner(file=pb.FileRequest(**request)))
            with contextlib.suppress(BrokenPipeError):
                for number, chunk in enumerate(chunks, 1):
                    last = number == len(chunks)
                    _send(sock, pb.ToRunner(file_chunk=pb.FileChunk(data=chunk, last=last)))
            return _receive(sock).file_reply

    def processes(self) -> dict[str, dict[str, str]]:
        """Return what the kernel says of each process, by name: fields of ``/proc/PID/status``, read on the host."""
        client = docker.APIClient(version="auto")
        try:
            first = client.inspect_container(self._container)["State"]["Pid"]
        finally:
            client.close()
        namespace = os.readlink(f"/proc/{first}/ns/pid")
        found = {}
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/ns/pid") == namespace:
                    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
                    status["oom_score_adj"] = Path(f"/proc/{pid}/oom_score_adj").read_text().strip()
                    found[status["Name"]] = status
        return found

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _dial(self, purpose: int) -> tuple[socket.socket, pb.Hello]:
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                sock = open_socket(self._endpoint)
                break
            except NotListening:
                assert time.monotonic() < deadline, "the supervisor does not listen"
                time.sleep(0.02)  # there is nothing of a starting container to wait on but its socket
        sock.settimeout(SECONDS)
        hello = _receive(sock).hello
        _send(sock, pb.ToRunner(open=pb.Open(protocol_version=1, purpose=purpose)))
        return sock, hello

    def _ask(self, **message: Any) -> pb.Reply:
        self._number += 1
        _send(self._socket, pb.ToRunner(request_id=self._number, **message))
        while True:
            answer = self._receive()
            if answer.WhichOneof("message") == "reply" and answer.reply.request_id == self._number:
                return answer.reply

    def _send(self, **message: Any) -> None:
        _send(self._socket, pb.ToRunner(**message))

    def _receive(self) -> pb.FromRunner:
        return _receive(self._socket)


@contextlib.contextmanager
def running(directory: Path, template: str = "slim", **changes: Any) -> Iterator[Sandbox]:
    """Run a container of a shipped template, some of its settings changed; it is gone at the end."""
    spec: TemplateSpec = replace(SHIPPED_TEMPLATES[template], **changes)
    image = image_of(template)
    runtime = DockerRuntime(DockerSettings(f"security-{secrets.token_hex(4)}", directory))
    with asyncio.Runner() as runner:
        runner.run(runtime.start())
        sandbox_id = f"sb-{secrets.token_hex(6)}"
        try:
            launched = runner.run(runtime.launch(SandboxSpec(sandbox_id, spec, image)))
            sandbox = Sandbox(launched, runtime._settings.installation)
            try:
                yield sandbox
            finally:
                sandbox.close()
        finally:
            runner.run(runtime.destroy(sandbox_id))
            runner.run(runtime.close())


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(int(seconds * 1e9))
    return duration


def _send(sock: socket.socket, message: pb.ToRunner) -> None:
    data = message.SerializeToString()
    sock.sendall(struct.pack(">I", len(data)) + data)


def _receive(sock: socket.socket) -> pb.FromRunner:
    (length,) = struct.unpack(">I", _exactly(sock, 4))
    return pb.FromRunner.FromString(_exactly(sock, length))


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        assert part, "the supervisor closed the connection"
        data += part
    return data
