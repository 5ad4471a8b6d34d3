"""PoolService: pools as operators see them, over pools made for the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message import Message
from sandbank.v1 import pool_pb2
from sandbank_server.errors import BadFieldError
from sandbank_server.grpc_api.paging import PageTokens
from sandbank_server.grpc_api.pool_service import POOL_STATES, SANDBOX_STATES, PoolService
from sandbank_server.pool.snapshots import PoolChange, PoolSnapshot, SandboxSnapshot
from sandbank_server.pool.state import PoolState, SandboxState

from tests.grpc.frame.conftest import Serve, Served, details_of

POOLS = pool_pb2.DESCRIPTOR.services_by_name["PoolService"]
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def pool(template: str = "slim", **changes: Any) -> PoolSnapshot:
    """Return a pool."""
    whole = PoolSnapshot(
        template=template,
        state=PoolState.HEALTHY,
        degraded_reason="",
        min_ready=1,
        max_total=2,
        starting_count=3,
        ready_count=4,
        assigned_count=5,
        retiring_count=6,
        waiting_count=7,
        started_count=8,
        failed_count=9,
        start_time_p50=0.25,
    )
    return replace(whole, **changes)


def sandbox(number: int, template: str = "slim") -> SandboxSnapshot:
    """Return a sandbox, the older the smaller its number."""
    return SandboxSnapshot(
        sandbox_id=f"sb-{number:03}",
        template=template,
        state=SandboxState.ASSIGNED,
        session_id=f"ses-{number}",
        create_time=NOON + timedelta(seconds=number),
        reason="because",
    )


class FakePools:
    """Pools that do what the test says."""

    def __init__(self) -> None:
        self.all = {
            "slim": pool(),
            "data": pool("data", state=PoolState.DEGRADED, degraded_reason="bad image"),
        }
        self.boxes = [sandbox(number) for number in (3, 1, 2)] + [sandbox(4, "data")]
        self.changes: asyncio.Queue[PoolChange | None] = asyncio.Queue()
        self.resized: list[tuple[str, int | None, int | None]] = []
        self.watched: list[str | None] = []

    def pools(self) -> list[PoolSnapshot]:
        return list(self.all.values())

    def sandboxes(self) -> list[SandboxSnapshot]:
        return self.boxes

    async def resize(self, template: str, min_ready: int | None, max_total: int | None) -> None:
        if (min_ready or 0) > 50:
            raise BadFieldError.at("min_ready", "must not be more than max_total (2)")
        self.resized.append((template, min_ready, max_total))
        self.all[template] = replace(self.all[template], min_ready=min_ready or 1)

    def watch(self, template: str | None) -> AsyncIterator[PoolChange]:
        self.watched.append(template)
        return self._changes()

    async def _changes(self) -> AsyncIterator[PoolChange]:
        while (change := await self.changes.get()) is not None:
            yield change


async def memory_of(sandbox_id: str) -> int:
    """Say what a sandbox uses; of one it cannot be known."""
    if sandbox_id == "sb-002":
        raise RuntimeError("gone")
    return 1000 + int(sandbox_id[-3:])


@pytest.fixture
def pools() -> FakePools:
    """Two pools, four sandboxes."""
    return FakePools()


@pytest.fixture
async def served(serve: Serve, pools: FakePools) -> Served:
    """A server with PoolService."""
    return await serve({POOLS: PoolService(pools, "slim", PageTokens(b"k" * 32), memory_of)})


async def call(served: Served, method: str, request: Message, answer: type[Message]) -> Any:
    """Call and parse."""
    raw = await served.unary(f"/sandbank.v1.PoolService/{method}")(request.SerializeToString())
    return answer.FromString(raw)


async def fails(served: Served, method: str, request: Message) -> tuple[str, str]:
    """Return the reason and the field of a refused call."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(served, method, request, pool_pb2.GetPoolResponse)
    details = details_of(caught.value)
    field = details.bad_request.field_violations[0].field if details.bad_request else ""
    return details.info.reason, field


def test_every_state_has_a_name_in_the_api() -> None:
    """A state without one could not be shown."""
    assert set(POOL_STATES) == set(PoolState)
    assert set(SANDBOX_STATES) == set(SandboxState)


async def test_a_pool_is_shown_whole(served: Served) -> None:
    """Every field; an empty template is the default one."""
    answer = await call(served, "GetPool", pool_pb2.GetPoolRequest(), pool_pb2.GetPoolResponse)
    found = answer.pool
    assert (found.template, found.state) == ("slim", pool_pb2.POOL_STATE_HEALTHY)
    counts = [found.min_ready, found.max_total, found.starting_count, found.ready_count, found.assigned_count]
    counts += [found.retiring_count, found.waiting_count, found.started_count, found.failed_count]
    assert counts == list(range(1, 10))
    assert found.start_time_p50.ToTimedelta() == timedelta(seconds=0.25)
    answer = await call(served, "ListPools", pool_pb2.ListPoolsRequest(), pool_pb2.ListPoolsResponse)
    assert [entry.template for entry in answer.pools] == ["data", "slim"]
    assert answer.pools[0].state == pool_pb2.POOL_STATE_DEGRADED
    assert answer.pools[0].degraded_reason == "bad image"


async def test_an_unknown_template_is_not_found(served: Served) -> None:
    """In every RPC that names one."""
    assert await fails(served, "GetPool", pool_pb2.GetPoolRequest(template="x")) == ("TEMPLATE_NOT_FOUND", "")
    assert await fails(served, "ResizePool", pool_pb2.ResizePoolRequest(template="x")) == (
        "TEMPLATE_NOT_FOUND",
        "",
    )
    assert await fails(served, "ListSandboxes", pool_pb2.ListSandboxesRequest(template="x")) == (
        "TEMPLATE_NOT_FOUND",
        "",
    )
    request = pool_pb2.WatchPoolRequest(template="x").SerializeToString()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.channel.unary_stream("/sandbank.v1.PoolService/WatchPool")(request).read()
    assert details_of(caught.value).info.reason == "TEMPLATE_NOT_FOUND"


async def test_a_pool_is_resized(served: Served, pools: FakePools) -> None:
    """The answer has the new size; zero means as configured."""
    request = pool_pb2.ResizePoolRequest(min_ready=5, max_total=9)
    answer = await call(served, "ResizePool", request, pool_pb2.ResizePoolResponse)
    assert answer.pool.min_ready == 5
    await call(served, "ResizePool", pool_pb2.ResizePoolRequest(template="data"), pool_pb2.ResizePoolResponse)
    assert pools.resized == [("slim", 5, 9), ("data", None, None)]


@pytest.mark.parametrize(
    ("sizes", "field"),
    [
        ({"min_ready": -1}, "min_ready"),
        ({"max_total": -1}, "max_total"),
        ({"max_total": 2_000_000}, "max_total"),
        ({"min_ready": 3, "max_total": 2}, "min_ready"),
        ({"min_ready": 51}, "min_ready"),
    ],
)
async def test_sizes_that_make_no_sense_are_refused(
    served: Served, pools: FakePools, sizes: dict[str, int], field: str
) -> None:
    """With the field at fault; the pool stays as it was."""
    assert await fails(served, "ResizePool", pool_pb2.ResizePoolRequest(**sizes)) == ("BAD_FIELD", field)
    assert pools.resized == []


async def test_sandboxes_are_listed_in_pages_oldest_first(served: Served, pools: FakePools) -> None:
    """What ends meanwhile neither shifts nor hides others; memory that cannot be known is zero."""
    seen, token = [], ""
    while True:
        request = pool_pb2.ListSandboxesRequest(page_size=1, page_token=token)
        answer = await call(served, "ListSandboxes", request, pool_pb2.ListSandboxesResponse)
        seen += answer.sandboxes
        token = answer.next_page_token
        pools.boxes = [box for box in pools.boxes if box.sandbox_id != seen[-1].sandbox_id or len(seen) % 2]
        if not token:
            break
    assert [entry.sandbox_id for entry in seen] == ["sb-001", "sb-002", "sb-003", "sb-004"]
    assert [entry.memory_bytes for entry in seen] == [1001, 0, 1003, 1004]
    first = seen[0]
    assert (first.session_id, first.reason, first.template) == ("ses-1", "because", "slim")
    assert first.state == pool_pb2.SANDBOX_STATE_ASSIGNED
    assert first.create_time.ToDatetime(tzinfo=UTC) == NOON + timedelta(seconds=1)


async def test_a_page_token_is_for_its_own_listing(served: Served) -> None:
    """Of another template, or made up: BAD_FIELD."""
    request = pool_pb2.ListSandboxesRequest(page_size=1, template="slim")
    answer = await call(served, "ListSandboxes", request, pool_pb2.ListSandboxesResponse)
    assert answer.next_page_token
    for other in (
        pool_pb2.ListSandboxesRequest(page_token=answer.next_page_token),
        pool_pb2.ListSandboxesRequest(template="slim", page_token=answer.next_page_token[:-4] + "AAAA"),
        pool_pb2.ListSandboxesRequest(template="slim", page_token="ä"),
    ):
        assert await fails(served, "ListSandboxes", other) == ("BAD_FIELD", "page_token")


async def test_watching_begins_with_what_is(served: Served, pools: FakePools) -> None:
    """The pool now, then every change; it ends when the pools close."""
    request = pool_pb2.WatchPoolRequest(template="data").SerializeToString()
    watch = served.channel.unary_stream("/sandbank.v1.PoolService/WatchPool")(request)
    now = pool_pb2.PoolEvent.FromString(await watch.read())
    assert now.pool.template == "data"
    assert not now.HasField("sandbox")
    assert pools.watched == ["data"]
    await pools.changes.put(PoolChange(NOON, pool("data", ready_count=11), sandbox(4, "data"), "ready"))
    change = pool_pb2.PoolEvent.FromString(await watch.read())
    assert (change.pool.ready_count, change.sandbox.sandbox_id, change.message) == (11, "sb-004", "ready")
    assert change.time.ToDatetime(tzinfo=UTC) == NOON
    await pools.changes.put(None)
    assert await watch.read() is grpc.aio.EOF
