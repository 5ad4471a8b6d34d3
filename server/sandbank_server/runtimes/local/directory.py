"""The directory of each local sandbox: ``DATA_DIR/local/ID``.

It holds the socket, the workspace, temporary files, the supervisor's log and two small JSON files:
``sandbox.json``, what was asked for, and ``process.json``, which process it became. User code has the same
user and can change all of it, so what is read back is checked like anything else that comes out of a sandbox.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sandbank_server.runtimes.base import RuntimeUnavailable, SandboxSpec
from sandbank_server.runtimes.identity import check_sandbox_id, is_sandbox_id
from sandbank_server.runtimes.local.processes import Process
from sandbank_server.runtimes.removal import remove_tree
from sandbank_server.runtimes.supervisor import SOCKET_NAME

LOG_BYTES = 1 << 20
_RECORD_BYTES = 1 << 20
_SOCKET_PATH_BYTES = 107  # what the kernel takes in a socket's address


@dataclass(frozen=True, slots=True)
class LocalDirectory:
    """One sandbox's directory, whether it exists or not."""

    sandbox_id: str
    path: Path

    @property
    def socket(self) -> Path:
        """Where the supervisor listens."""
        return self.path / SOCKET_NAME

    @property
    def workspace(self) -> Path:
        """User code's own directory."""
        return self.path / "workspace"

    @property
    def temporary(self) -> Path:
        """User code's temporary files."""
        return self.path / "tmp"

    @property
    def log(self) -> Path:
        """What the supervisor writes to its standard output and error."""
        return self.path / "log"

    def make(self, spec: SandboxSpec) -> None:
        """Make it, with a record of what it is for. FileExistsError when it is there."""
        self.path.mkdir(mode=0o700)
        self.workspace.mkdir(mode=0o700)
        self.temporary.mkdir(mode=0o700)
        _write(self.path / "sandbox.json", {"template": spec.template.name, "labels": dict(spec.labels)})

    def record(self, process: Process) -> None:
        """Note which process the sandbox became."""
        _write(self.path / "process.json", asdict(process))

    def process(self) -> Process | None:
        """Return the process that was noted, or None."""
        match _read(self.path / "process.json"):
            case {"pid": int(pid), "start_ticks": int(start), "boot": str(boot)} if pid > 1:
                return Process(pid, start, boot)
        return None

    def asked_for(self) -> tuple[str, dict[str, str]]:
        """Return the template and the labels, empty where the record is damaged."""
        found = _read(self.path / "sandbox.json")
        template, labels = found.get("template"), found.get("labels")
        known = labels.items() if isinstance(labels, dict) else ()
        return (
            template if isinstance(template, str) else "",
            {name: value for name, value in known if isinstance(value, str)},
        )

    def bound_log(self) -> None:
        """Empty a log that has grown too long; its writers append, so they go on at its new end."""
        with suppress(OSError):
            if self.log.lstat().st_size > LOG_BYTES:
                os.truncate(self.log, 0)

    def log_tail(self) -> bytes:
        """Return the end of the log."""
        try:
            with open(os.open(self.log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
                return file.read(4096)
        except OSError:
            return b""

    def remove(self) -> bool:
        """Remove it with all that is in it; False when something could not be."""
        return remove_tree(str(self.path))


class LocalDirectories:
    """All of one installation's directories."""

    def __init__(self, data_dir: Path) -> None:
        self._root = data_dir.absolute() / "local"

    def prepare(self) -> None:
        """Make what all share. Raises :class:`RuntimeUnavailable`."""
        length = len(os.fsencode(self.of("sb-000000000000").socket))
        if length > _SOCKET_PATH_BYTES:
            raise RuntimeUnavailable(
                f"the data directory's path is {length - _SOCKET_PATH_BYTES} bytes too long for sockets: {self._root}"
            )
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._root.chmod(0o700)
        except OSError as error:
            raise RuntimeUnavailable(f"cannot keep sandboxes in {self._root}: {error.strerror}") from error

    def of(self, sandbox_id: str) -> LocalDirectory:
        """Return a sandbox's directory."""
        return LocalDirectory(sandbox_id, self._root / check_sandbox_id(sandbox_id))

    def all(self) -> list[LocalDirectory]:
        """Return those that exist."""
        try:
            return [self.of(name) for name in sorted(os.listdir(self._root)) if is_sandbox_id(name)]
        except FileNotFoundError:
            return []


def _write(path: Path, value: Mapping[str, Any]) -> None:
    """Write all or nothing: a control plane may be killed at any point."""
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(value))
    temporary.rename(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            value = json.loads(file.read(_RECORD_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
