"""The grpc server: options, ports, health, reflection, draining."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
import grpc.aio
from grpc_reflection.v1alpha import reflection

from sandbank_server.grpc_api.binding import ApiHandler
from sandbank_server.grpc_api.health import ApiHealth
from sandbank_server.grpc_api.steps import DrainGate
from sandbank_server.listen import ListenError, split_address

HEALTH_SERVICE: Final = "grpc.health.v1.Health"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The server's certificate chain and its key, PEM files."""

    certificate: Path
    key: Path


class ApiServer:
    """Serves the public API. Make it, ``listen``, ``start``; at the end ``drain`` and ``stop``."""

    def __init__(self, handler: ApiHandler, *, message_bytes: int, gate: DrainGate) -> None:
        self._gate = gate
        self._server = grpc.aio.server(options=_options(message_bytes))
        self.health = ApiHealth(handler.service_names)
        self.health.register(self._server)
        names = (*handler.service_names, HEALTH_SERVICE, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        # Last, because it has an answer to every method.
        self._server.add_generic_rpc_handlers((handler,))

    def listen(self, address: str, tls: TlsFiles | None = None) -> int:
        """Open a port before ``start``; return its number, also for port 0. Raises ListenError."""
        split_address(address)
        try:
            if tls is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, _credentials(tls))
        except RuntimeError:
            port = 0
        if not port:
            raise ListenError(
                f"cannot listen on {address}: the port is taken, or the host is not this machine's"
            )
        return int(port)

    async def start(self) -> None:
        """Serve."""
        await self._server.start()
        await self.health.all_serving()

    async def drain(self) -> None:
        """Refuse new work; calls that are open go on."""
        self._gate.draining = True
        await self.health.drain()

    async def stop(self, grace: float) -> None:
        """Close the ports at once, let open calls go on for ``grace`` seconds, then cancel them."""
        await self._server.stop(grace)

    async def wait(self) -> None:
        """Wait until it has stopped."""
        await self._server.wait_for_termination()


def _options(message_bytes: int) -> list[tuple[str, int]]:
    return [
        # Two servers must not share a port by accident.
        ("grpc.so_reuseport", 0),
        # grpc answers what is over its own limit with RESOURCE_EXHAUSTED but without our details. It gets
        # twice our limit, so that what is a little over gets an answer that a program can read.
        ("grpc.max_receive_message_length", 2 * message_bytes),
        ("grpc.max_send_message_length", -1),
        # Clients keep idle connections alive behind NAT and proxies; that is no abuse.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        # A peer that vanished is noticed, and its streams end.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]


def _credentials(tls: TlsFiles) -> grpc.ServerCredentials:
    try:
        pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
    except OSError as error:
        raise ListenError(f"cannot read the TLS files: {error.strerror}: {error.filename}") from None
    try:
        return grpc.ssl_server_credentials([pair])
    except ValueError as error:
        raise ListenError(f"{tls.certificate} and {tls.key} are no certificate and key: {error}") from None
