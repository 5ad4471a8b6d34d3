"""Where the server is and how it is reached: address, TLS, credentials, limits."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from sandbank.retrying import RetryPolicy

ADDRESS_VARIABLE = "SANDBANK_ADDRESS"
DEFAULT_ADDRESS = "127.0.0.1:50051"
MESSAGE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Connection:
    """How a client reaches its server.

    `address` is `host:port` or `unix:path`. With `tls` (or any certificate) the connection is encrypted;
    certificates are PEM, as bytes or as a path. `token` is sent with every call; without TLS only to this
    machine, unless `allow_plaintext_token`. `call_timeout` bounds a call in seconds, `create_timeout` those
    that may wait for a sandbox. `max_message_bytes` bounds one message in either direction.
    """

    address: str = ""
    tls: bool = False
    root_certificates: bytes | str | Path | None = None
    client_certificate: bytes | str | Path | None = None
    client_key: bytes | str | Path | None = None
    server_name: str = ""
    token: str = field(default="", repr=False)
    allow_plaintext_token: bool = False
    call_timeout: float = 60.0
    create_timeout: float = 300.0
    max_message_bytes: int = MESSAGE_BYTES
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    def __post_init__(self) -> None:
        if not self.address:
            object.__setattr__(self, "address", os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS)
        if self.call_timeout <= 0 or self.create_timeout <= 0 or self.max_message_bytes <= 0:
            raise ValueError("call_timeout, create_timeout and max_message_bytes must be positive")
        if self.token and not (self.encrypted or self.allow_plaintext_token or is_local(self.address)):
            raise ValueError(
                f"the token would go to {self.address} in the clear: use TLS, or allow_plaintext_token=True"
            )

    @property
    def encrypted(self) -> bool:
        """Whether the connection uses TLS."""
        return self.tls or self.root_certificates is not None or self.client_certificate is not None

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Return what a secure channel is made with; None for a plain one."""
        if not self.encrypted:
            return None
        return grpc.ssl_channel_credentials(
            root_certificates=_pem(self.root_certificates),
            private_key=_pem(self.client_key),
            certificate_chain=_pem(self.client_certificate),
        )

    def channel_options(self) -> list[tuple[str, Any]]:
        """Return the channel's arguments."""
        options: list[tuple[str, Any]] = [
            ("grpc.max_send_message_length", self.max_message_bytes),
            ("grpc.max_receive_message_length", self.max_message_bytes),
            # Retries are this client's own, which knows what is safe; grpc's would hide attempts from its
            # budget.
            ("grpc.enable_retries", 0),
            # A server that restarts is back within a second or two; the default would wait up to two minutes.
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 1000),
            # A peer that vanished without a word is noticed, also by a call without a deadline. More often than every
            # five minutes servers take for an attack.
            ("grpc.keepalive_time_ms", 330_000),
            ("grpc.keepalive_timeout_ms", 20_000),
        ]
        if self.server_name:
            options.append(("grpc.ssl_target_name_override", self.server_name))
        return options

    def bound(self, timeout: float | str | None) -> float | None:
        """Return the seconds that a try may take: `call` and `create` name those configured here."""
        if isinstance(timeout, str):
            return self.create_timeout if timeout == "create" else self.call_timeout
        return timeout

    def metadata(self) -> list[tuple[str, str]]:
        """Return what is sent along with every call."""
        return [("authorization", f"Bearer {self.token}")] if self.token else []


def is_local(address: str) -> bool:
    """Whether an address cannot be overheard because it does not leave this machine."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address.rpartition(":")[0].strip("[]").removeprefix("ipv4:").removeprefix("dns:///")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _pem(source: bytes | str | Path | None) -> bytes | None:
    if source is None or isinstance(source, bytes):
        return source
    return Path(source).read_bytes()
