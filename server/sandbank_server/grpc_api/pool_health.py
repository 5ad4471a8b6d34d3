"""Shows in the health service which pools can start sandboxes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Final

import structlog

from sandbank_server.clock import Clock
from sandbank_server.grpc_api.health import ApiHealth
from sandbank_server.pool.snapshots import PoolSnapshot
from sandbank_server.pool.state import PoolState

LOOK_SECONDS: Final = 1.0
"""How often the pools are looked at: a watch would have every change of every sandbox described for this alone."""

SESSIONS: Final = "sandbank.v1.SessionService"

_log = structlog.get_logger("sandbank.health")


def name_of(template: str) -> str:
    """Return the name under which a pool's health is asked for."""
    return f"pool/{template}"


class PoolHealth:
    """Keeps each pool's health: NOT_SERVING while it is DEGRADED.

    SessionService goes with the pool of the default template: sessions that name none cannot be made then. The
    server as a whole stays SERVING: the sessions that there are need it, and whoever restarts it or sends callers
    elsewhere for a broken template would cut them off.
    """

    def __init__(
        self,
        pools: Callable[[], Sequence[PoolSnapshot]],
        health: ApiHealth,
        default_template: str,
        clock: Clock,
    ) -> None:
        self._pools = pools
        self._health = health
        self._default = default_template
        self._clock = clock
        self._serving: dict[str, bool] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Show the pools as they are, and from now on as they change."""
        await self._show()
        self._task = asyncio.get_running_loop().create_task(self._follow(), context=Context())

    async def close(self) -> None:
        """Stop looking. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _follow(self) -> None:
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            try:
                await self._show()
            except Exception:  # noqa: BLE001 - health must not stop being told
                _log.exception("the health of the pools could not be shown")

    async def _show(self) -> None:
        for pool in self._pools():
            serving = pool.state is not PoolState.DEGRADED
            await self._set(name_of(pool.template), serving)
            if pool.template == self._default:
                await self._set(SESSIONS, serving)

    async def _set(self, name: str, serving: bool) -> None:
        if self._serving.get(name) is not serving:
            await self._health.set_serving(name, serving)
            self._serving[name] = serving
