"""The standard health service: one status per service, all NOT_SERVING once the server drains."""

from __future__ import annotations

from collections.abc import Iterable

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class ApiHealth:
    """Keeps the health of every service; the empty name stands for the server as a whole."""

    def __init__(self, service_names: Iterable[str]) -> None:
        self._names = ["", *service_names]
        self._servicer = aio.HealthServicer()

    def register(self, server: grpc.aio.Server) -> None:
        """Add the health service to a server that has not started."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    def add(self, name: str) -> None:
        """Keep the health of something else too, under a name of its own."""
        self._names.append(name)

    async def all_serving(self) -> None:
        """Set everything to SERVING."""
        for name in self._names:
            await self._servicer.set(name, _SERVING)

    async def set_serving(self, service_name: str, serving: bool) -> None:
        """Set one service, for example while its pool is degraded. Raises KeyError for unknown ones."""
        if service_name not in self._names:
            raise KeyError(service_name)
        await self._servicer.set(service_name, _SERVING if serving else _NOT_SERVING)

    async def drain(self) -> None:
        """Set everything to NOT_SERVING, for good."""
        await self._servicer.enter_graceful_shutdown()
