"""Where the server listens, and who could reach it there."""

from __future__ import annotations

import ipaddress
import socket


class ListenError(Exception):
    """The server cannot or must not listen there; the text says why and what to do."""


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``host:port`` or ``[v6]:port``; port 0 means any. Raises ListenError."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ListenError(f"{address!r} is no address to listen on: HOST:PORT, such as 127.0.0.1:50051")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], int(port)
    if ":" in host:
        raise ListenError(f"{address!r} is no address: an IPv6 host goes in brackets, [::1]:50051")
    return host, int(port)


def is_loopback(address: str) -> bool:
    """Whether only programs of this machine can reach the address; a name must lead to such ones only."""
    host, port = split_address(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(item[4][0]).is_loopback for item in found)


def refuse_open_listener(address: str, *, runtime: str, allowed: bool) -> None:
    """Raise ListenError where the local runtime would offer this machine to others.

    Its sandboxes are processes of the same user, with no wall around them that would stop an attacker.
    """
    if runtime == "local" and not allowed and not is_loopback(address):
        raise ListenError(
            f"the local runtime does not listen on {address}: whoever connects could run programs as you. "
            "Listen on 127.0.0.1, use the docker runtime, or say --allow-non-loopback-local"
        )
