"""What PID 1 does first, while it is still root and has one thread: start the template, then give up root.

Nothing of grpc, protobuf or asyncio is imported before :func:`boot` has returned: capabilities belong to
threads, and the template must inherit nothing of this process.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from sandbank_runner import channel
from sandbank_runner.supervisor.config import SandboxConfig
from sandbank_runner.template.environment import execution_environment
from sandbank_runner.walls import capabilities, memory_order, process_flags, securebits
from sandbank_runner.walls.clone import thread_count
from sandbank_runner.walls.descriptors import TEMPLATE_CHANNEL, close_all_but
from sandbank_runner.walls.users import become

_EXEC_FAILED = 127


class BootError(Exception):
    """This process cannot become the supervisor of the sandbox; the text says why."""


@dataclass(frozen=True, slots=True)
class Booted:
    """The supervisor's own walls are up and the template is preloading."""

    template_socket: socket.socket
    """The supervisor's end, blocking, with the kernel's credentials on every packet. ``configure`` has been
    sent."""
    template_pid: int
    missing_walls: tuple[str, ...]
    """Of the supervisor itself; the template tells of user code's in ``ready``."""


def boot(config: SandboxConfig) -> Booted:
    """Start the template and give up root; in local mode only start it. Raises BootError and OSError."""
    if thread_count() != 1:
        raise BootError("the supervisor has more than one thread before it gave up its privileges")
    if config.mode == "container" and os.geteuid() != 0:
        raise BootError("a container's supervisor must start as root, with SETUID, SETGID, SETPCAP and KILL")
    if os.getpid() != 1:
        process_flags.adopt_orphans()  # before the first child: no orphan ever gets past
    ours, theirs = channel.pair()
    pid = _start_template(config, theirs.fileno())
    theirs.close()
    channel.Channel(ours).send({"type": "configure", "config": config.to_message()})
    return Booted(ours, pid, tuple(_give_up_root(config)))


def _start_template(config: SandboxConfig, descriptor: int) -> int:
    environment = execution_environment(config, os.environ)
    pid = os.fork()
    if pid == 0:
        _become_template(descriptor, environment)
    return pid


def _become_template(descriptor: int, environment: Mapping[str, str]) -> NoReturn:
    try:
        memory_order.raise_score(memory_order.TEMPLATE)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(descriptor, TEMPLATE_CHANNEL)
        os.set_inheritable(TEMPLATE_CHANNEL, True)  # dup2 onto itself leaves close-on-exec as it was
        close_all_but((0, 1, 2, TEMPLATE_CHANNEL))
        os.chdir("/")
        os.execve(sys.executable, [sys.executable, "-m", "sandbank_runner.template"], environment)
    except BaseException as error:
        os.write(2, f"the template could not be started: {error!r}\n".encode("utf-8", "backslashreplace"))
    os._exit(_EXEC_FAILED)


def _give_up_root(config: SandboxConfig) -> list[str]:
    missing: list[str] = []
    if config.users is not None:
        try:
            securebits.lock()
        except OSError:
            missing.append("securebits")
        capabilities.empty_bounding_set()
        capabilities.clear_ambient_set()
        become(config.users.supervisor, keep=(capabilities.KILL,))
        effective, permitted, inheritable = capabilities.held()
        if effective | permitted | inheritable != 1 << capabilities.KILL:
            raise BootError("the supervisor holds other capabilities than KILL")
        _close_directory(os.path.dirname(os.path.dirname(config.socket_path)), config.users.supervisor)
    process_flags.give_up_new_privileges()
    process_flags.set_dumpable(False)
    process_flags.set_name("supervisor")
    return missing


def _close_directory(path: str, owner: int) -> None:
    """Close the directory above the socket's to everybody but its owner, the supervisor.

    The socket and its own directory are open, because the control plane may be any user of the host. What keeps user
    code from both is this directory alone, and its mode cannot be left to whoever mounted it: runc gives a tmpfs the
    mode of the directory that it is mounted on, when a mount point for the socket's directory was made there before.
    """
    try:
        os.chmod(path, 0o700)
        status = os.stat(path)
    except OSError as error:
        raise BootError(f"{path} cannot be closed to user code: {error}") from error
    if status.st_uid != owner or status.st_mode & 0o7777 != 0o700:
        raise BootError(f"{path} is not the supervisor's alone: user code could reach the socket")
