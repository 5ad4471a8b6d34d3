"""Connecting to a supervisor's socket, which lies in a directory that the sandbox can write to.

A hostile sandbox may put anything at the socket's name: a symlink to another sandbox's socket or the
engine's, a fifo that blocks whoever opens it, a listener of another user. So the name is resolved once,
beneath its directory and without following links, to a descriptor; the connection goes to what that
descriptor is, whatever the name means by then; and the kernel says who listens there.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import stat
import struct

from sandbank_server.runtimes.base import Endpoint

_OPENAT2 = 437  # the same number on every architecture
_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 0x02, 0x04, 0x08
_OPEN_HOW = struct.Struct("=QQQ")
_CREDENTIALS = struct.Struct("=iII")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class NotListening(ConnectionError):
    """Nobody listens there yet, or no longer; it may be tried again."""


class ImpostorEndpoint(ConnectionError):
    """What is there is not the supervisor's socket: the sandbox cannot be trusted and has to end."""


def open_socket(endpoint: Endpoint) -> socket.socket:
    """Return a connected non-blocking stream socket; never blocks.

    Raises :class:`NotListening`, :class:`ImpostorEndpoint`, or another OSError that has nothing to do with
    the sandbox (no descriptors left).
    """
    found = _find(endpoint)
    try:
        if not stat.S_ISSOCK(os.fstat(found).st_mode):
            raise ImpostorEndpoint(f"{endpoint.name} in {endpoint.directory} is not a socket")
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            _connect(connection, found, endpoint)
            _check_peer(connection, endpoint)
        except BaseException:
            connection.close()
            raise
    finally:
        os.close(found)
    return connection


def _find(endpoint: Endpoint) -> int:
    """Return a path descriptor (O_PATH) of what the endpoint's name is now."""
    try:
        directory = os.open(endpoint.directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotListening(f"there is no directory {endpoint.directory}") from error
    try:
        how = _OPEN_HOW.pack(
            os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC,
            0,
            _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS,
        )
        name = os.fsencode(endpoint.name)
        found: int = _libc.syscall(
            ctypes.c_long(_OPENAT2), ctypes.c_int(directory), name, how, ctypes.c_size_t(_OPEN_HOW.size)
        )
        error_number = ctypes.get_errno()
    finally:
        os.close(directory)
    if found >= 0:
        return found
    if error_number == errno.ENOENT:
        raise NotListening(f"there is no {endpoint.name} in {endpoint.directory} yet")
    if error_number in {errno.ELOOP, errno.EXDEV, errno.ENOTDIR}:
        raise ImpostorEndpoint(f"{endpoint.name} in {endpoint.directory} is a link or leads out of there")
    raise OSError(error_number, os.strerror(error_number), endpoint.directory)


def _connect(connection: socket.socket, found: int, endpoint: Endpoint) -> None:
    """Connect to the very object behind a descriptor; so a path may be longer than a socket address."""
    try:
        connection.connect(f"/proc/self/fd/{found}")
    except (ConnectionRefusedError, BlockingIOError, FileNotFoundError) as error:
        # Bound and not listening yet, its queue of connections full, or closed and unlinked just now.
        raise NotListening(f"nobody accepts at {endpoint.name} in {endpoint.directory}") from error
    except PermissionError as error:
        # The supervisor opens its socket to everyone right after it was made.
        raise NotListening(f"no permission yet for {endpoint.name} in {endpoint.directory}") from error
    except OSError as error:
        if error.errno == errno.EPROTOTYPE:
            raise ImpostorEndpoint(
                f"{endpoint.name} in {endpoint.directory} is not a stream socket"
            ) from error
        raise


def _check_peer(connection: socket.socket, endpoint: Endpoint) -> None:
    """Ask the kernel who listens there: the user at the time of listen(), which nobody can forge."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(credentials)
    if uid != endpoint.peer_uid:
        raise ImpostorEndpoint(
            f"user {uid} listens at {endpoint.name} in {endpoint.directory}, not {endpoint.peer_uid}"
        )
