"""One control plane on one data directory: the directory, its lock, and who it is.

The lock is held by the process for its life, so that it never outlives it; in the locked file are its
process id and address, for `sandbank drain` and for people.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

LOCK_NAME: Final = "server.lock"
IDENTITY_NAME: Final = "installation.json"
_RECORD_BYTES = 512
_LOCK_TRIES = 5


class InstanceError(Exception):
    """The data directory cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an installation is. ``id`` marks what it makes; ``secret`` is the key of what only it must make."""

    id: str
    secret: bytes


@dataclass(frozen=True, slots=True)
class Running:
    """A control plane that runs; ``address`` is empty while it does not listen yet."""

    pid: int
    address: str


class Instance:
    """The data directory, locked for this process."""

    def __init__(self, directory: Path, descriptor: int) -> None:
        self.directory = directory
        self._descriptor = descriptor
        self.identity = identity_of(directory)
        self.publish("")

    @classmethod
    def acquire(cls, directory: Path) -> Self:
        """Make the directory where it is missing, and lock it. Raises :class:`InstanceError`."""
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = directory / LOCK_NAME
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise InstanceError(f"the data directory {directory} cannot be used: {error.strerror}") from None
        try:
            _lock(descriptor)
            return cls(directory, descriptor)
        except OSError as error:
            os.close(descriptor)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise InstanceError(
                    f"the data directory {directory} cannot be used: {error.strerror}"
                ) from None
            raise InstanceError(f"another control plane runs on {directory}{_whose(directory)}") from None
        except BaseException:
            os.close(descriptor)
            raise

    def publish(self, address: str) -> None:
        """Write down where this process listens."""
        self._write(json.dumps({"pid": os.getpid(), "address": address}))

    def release(self) -> None:
        """Let go, at the end. Idempotent."""
        if self._descriptor >= 0:
            self._write("")  # the next to hold the lock is not this process
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, text: str) -> None:
        # In one piece of one size: readers do not wait.
        os.pwrite(self._descriptor, text.encode().ljust(_RECORD_BYTES - 1) + b"\n", 0)


def _lock(descriptor: int) -> None:
    # Whoever asks whether a server runs holds it for a moment too: so once more before giving up.
    for left in reversed(range(_LOCK_TRIES)):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if not left:
                raise
            time.sleep(0.02)
        else:
            return


def find_running(directory: Path) -> Running | None:
    """Return the control plane that runs on a data directory, or None. Raises :class:`InstanceError`."""
    try:
        descriptor = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InstanceError(f"the data directory {directory} cannot be read: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _read(descriptor)
        return None
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> Running:
    try:
        facts = json.loads(os.pread(descriptor, _RECORD_BYTES, 0))
        return Running(int(facts["pid"]), str(facts["address"]))
    except (ValueError, KeyError, TypeError):
        raise InstanceError("a control plane is just starting or ending: try again") from None


def _whose(directory: Path) -> str:
    try:
        running = find_running(directory)
    except InstanceError:
        return ""
    return "" if running is None else f" (process {running.pid})"


def identity_of(directory: Path) -> Identity:
    """Return who the installation is, making it and its directory where missing. Raises :class:`InstanceError`."""
    path = directory / IDENTITY_NAME
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _make_identity(path)
        facts = json.loads(path.read_bytes())
        return Identity(str(facts["id"]), bytes.fromhex(facts["secret"]))
    except OSError as error:
        raise InstanceError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        # A new one would take this installation's sandboxes for a stranger's, and leave them running for
        # ever.
        raise InstanceError(
            f"{path} is damaged: restore it, or end its sandboxes by hand and remove it"
        ) from None


def _make_identity(path: Path) -> None:
    identity = Identity(secrets.token_hex(6), secrets.token_bytes(32))
    text = json.dumps({"id": identity.id, "secret": identity.secret.hex()}) + "\n"
    temporary = path.with_suffix(f".{os.getpid()}")
    try:
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # Never over one that another process just made.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
        os.unlink(temporary)
    except OSError as error:
        raise InstanceError(f"{path} cannot be written: {error.strerror}") from None
