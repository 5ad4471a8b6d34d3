"""A real control plane in a process of its own, as `sandbank serve` starts it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SANDBANK = str(Path(sys.executable).with_name("sandbank"))
START_SECONDS = 120.0


@dataclass
class ServerProcess:
    """Starts, kills and restarts one control plane on one data directory."""

    runtime: str
    data_dir: Path
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    address: str = ""

    @property
    def log(self) -> Path:
        """Where it writes its log."""
        return self.data_dir / "server.log"

    def start(self, listen: str = "127.0.0.1:0") -> None:
        """Start it and wait until it listens."""
        assert self.process is None
        self.data_dir.mkdir(parents=True, exist_ok=True)
        ready = self.data_dir / "ready"
        ready.unlink(missing_ok=True)
        command = [SANDBANK, "serve", "--listen", listen, "--runtime", self.runtime]
        command += [
            "--data-dir",
            str(self.data_dir),
            "--ready-file",
            str(ready),
            "--log-format",
            "json",
            *self.options,
        ]
        environment = self._whole_environment()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = self.log.read_text(errors="replace")[-4000:]
                raise RuntimeError(f"the server did not start (exit {self.process.poll()}):\n{tail}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)
        self.address = ready.read_text().strip()

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self) -> int:
        """End it as an operator would: SIGTERM; sandboxes of sessions live on. Returns its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process = None
        return code

    def drain(self) -> None:
        """End all sessions and sandboxes of the installation, then the server."""
        if self.process is None:
            self.start()
        environment = self._whole_environment()
        subprocess.run(
            [SANDBANK, "drain", "--end", "--data-dir", str(self.data_dir), "--address", self.address],
            check=True,
            env=environment,
            timeout=120,
            capture_output=True,
        )
        assert self.process is not None
        assert self.process.wait(60) == 0
        self.process = None

    def _whole_environment(self) -> dict[str, str]:
        # A shell that forbids bytecode would have every start compile every module: no installed server does.
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**inherited, **self.environment}

    def log_lines(self) -> list[dict[str, object]]:
        """Return the log so far, one dictionary a line."""
        lines = []
        for line in self.log.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        return lines


@contextlib.contextmanager
def serving(server: ServerProcess) -> Iterator[ServerProcess]:
    """Run ``server``; leave nothing of it behind, whatever happened."""
    try:
        server.start()
        yield server
    finally:
        try:
            server.drain()
        finally:
            if server.process is not None:
                server.kill()
