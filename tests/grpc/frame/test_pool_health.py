"""What health tells of pools."""

from __future__ import annotations

from dataclasses import replace

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sandbank_server.grpc_api.pool_health import LOOK_SECONDS, SESSIONS, PoolHealth, name_of
from sandbank_server.pool.snapshots import PoolSnapshot
from sandbank_server.pool.state import PoolState

from tests.fakes.clock import ManualClock, settle
from tests.grpc.frame.conftest import Serve

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def pool(template: str) -> PoolSnapshot:
    """Return a pool that is well."""
    return PoolSnapshot(template, PoolState.HEALTHY, "", 2, 9, 0, 2, 0, 0, 0, 2, 0, 0.1)


async def test_a_degraded_pool_shows_under_its_name_and_the_default_one_in_session_service(
    serve: Serve,
) -> None:
    """The server as a whole stays up for the sessions that there are."""
    pools = {name: pool(name) for name in ("slim", "data")}
    clock = ManualClock()
    served = await serve({})
    health = served.server.health
    for name in (*map(name_of, pools), SESSIONS):
        health.add(name)
    shown = PoolHealth(lambda: list(pools.values()), health, "data", clock)
    await shown.start()

    async def told() -> list[int]:
        clock.advance(LOOK_SECONDS)
        await settle()
        stub = health_pb2_grpc.HealthStub(served.channel)
        names = ("", name_of("slim"), name_of("data"), SESSIONS)
        return [(await stub.Check(health_pb2.HealthCheckRequest(service=name))).status for name in names]

    try:
        assert await told() == [SERVING, SERVING, SERVING, SERVING]
        pools["slim"] = replace(pools["slim"], state=PoolState.DEGRADED)
        assert await told() == [SERVING, NOT_SERVING, SERVING, SERVING]
        pools["data"] = replace(pools["data"], state=PoolState.DEGRADED)
        assert await told() == [SERVING, NOT_SERVING, NOT_SERVING, NOT_SERVING]
        pools["data"] = replace(pools["data"], state=PoolState.STARTING)
        assert await told() == [SERVING, NOT_SERVING, SERVING, SERVING]
        await served.server.drain()
        assert await told() == [NOT_SERVING] * 4
        stub = health_pb2_grpc.HealthStub(served.channel)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Check(health_pb2.HealthCheckRequest(service=name_of("none")))
    finally:
        await shown.close()
