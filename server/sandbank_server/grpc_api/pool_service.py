"""PoolService: the pools, for operators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

from sandbank.v1 import pool_pb2

from sandbank_server.errors import BadFieldError, TemplateNotFoundError
from sandbank_server.grpc_api import validation as check
from sandbank_server.grpc_api.call import CallContext
from sandbank_server.grpc_api.paging import PageTokens
from sandbank_server.grpc_api.pool_ports import Pools
from sandbank_server.pool.snapshots import PoolChange, PoolSnapshot, SandboxSnapshot
from sandbank_server.pool.state import PoolState, SandboxState

MemoryOf = Callable[[str], Awaitable[int]]
"""Says what memory a sandbox uses now, in bytes; 0 where it cannot be known."""

_MEMORY_SECONDS = 2.0
_SIZE_LIMIT = 1_000_000

POOL_STATES: Final = {
    PoolState.HEALTHY: pool_pb2.POOL_STATE_HEALTHY,
    PoolState.STARTING: pool_pb2.POOL_STATE_STARTING,
    PoolState.DEGRADED: pool_pb2.POOL_STATE_DEGRADED,
    PoolState.DRAINING: pool_pb2.POOL_STATE_DRAINING,
}
SANDBOX_STATES: Final = {
    SandboxState.STARTING: pool_pb2.SANDBOX_STATE_STARTING,
    SandboxState.READY: pool_pb2.SANDBOX_STATE_READY,
    SandboxState.ASSIGNED: pool_pb2.SANDBOX_STATE_ASSIGNED,
    SandboxState.RETIRING: pool_pb2.SANDBOX_STATE_RETIRING,
    SandboxState.GONE: pool_pb2.SANDBOX_STATE_GONE,
}


class PoolService:
    """The servicer."""

    def __init__(
        self, pools: Pools, default_template: str, tokens: PageTokens, memory_of: MemoryOf | None = None
    ) -> None:
        self._pools = pools
        self._default_template = default_template
        self._tokens = tokens
        self._memory_of = memory_of

    async def GetPool(self, request: pool_pb2.GetPoolRequest, call: CallContext) -> pool_pb2.GetPoolResponse:
        """Read one pool."""
        return pool_pb2.GetPoolResponse(pool=pool_message(self._find(request.template)))

    async def ListPools(
        self, request: pool_pb2.ListPoolsRequest, call: CallContext
    ) -> pool_pb2.ListPoolsResponse:
        """Read all pools."""
        pools = sorted(self._pools.pools(), key=lambda pool: pool.template)
        return pool_pb2.ListPoolsResponse(pools=[pool_message(pool) for pool in pools])

    async def ResizePool(
        self, request: pool_pb2.ResizePoolRequest, call: CallContext
    ) -> pool_pb2.ResizePoolResponse:
        """Change a pool's size until the next start."""
        template = self._find(request.template).template
        for name in ("min_ready", "max_total"):
            check.check_count(getattr(request, name), name, default=0, limit=_SIZE_LIMIT)
        if request.max_total and request.min_ready > request.max_total:
            raise BadFieldError.at("min_ready", f"must not be over max_total, {request.max_total}")
        await self._pools.resize(template, request.min_ready or None, request.max_total or None)
        return pool_pb2.ResizePoolResponse(pool=pool_message(self._find(template)))

    async def ListSandboxes(
        self, request: pool_pb2.ListSandboxesRequest, call: CallContext
    ) -> pool_pb2.ListSandboxesResponse:
        """List a page of sandboxes, the oldest first."""
        if request.template:
            self._find(request.template)
        size = check.check_page_size(request.page_size)
        scope = ["sandboxes", call.tenant, request.template]
        cursor = self._tokens.read(scope, request.page_token)
        rest = sorted(
            (sandbox for sandbox in self._pools.sandboxes() if request.template in ("", sandbox.template)),
            key=_key,
        )
        if cursor is not None:
            rest = _after(rest, datetime.fromisoformat(cursor[0]), cursor[1])
        page, token = rest[:size], ""
        if len(rest) > size:
            token = self._tokens.make(scope, [page[-1].create_time.isoformat(), page[-1].sandbox_id])
        memory = await self._memory(page)
        messages = [sandbox_message(sandbox, used) for sandbox, used in zip(page, memory, strict=True)]
        return pool_pb2.ListSandboxesResponse(sandboxes=messages, next_page_token=token)

    async def WatchPool(
        self, request: pool_pb2.WatchPoolRequest, call: CallContext
    ) -> AsyncIterator[pool_pb2.PoolEvent]:
        """Stream changes: the state now first."""
        template = self._find(request.template).template if request.template else None
        # Before the state is read: nothing between the two may be missed.
        changes = self._pools.watch(template)
        for pool in self._pools.pools():
            if template in (None, pool.template):
                event = pool_pb2.PoolEvent(pool=pool_message(pool), message="now")
                event.time.GetCurrentTime()
                yield event
        async for change in changes:
            yield event_message(change)

    def _find(self, template: str) -> PoolSnapshot:
        name = template or self._default_template
        for pool in self._pools.pools():
            if pool.template == name:
                return pool
        raise TemplateNotFoundError("there is no such template", resource=name)

    async def _memory(self, sandboxes: Sequence[SandboxSnapshot]) -> list[int]:
        memory_of = self._memory_of
        if memory_of is None:
            return [0] * len(sandboxes)

        async def one(sandbox_id: str) -> int:
            try:
                async with asyncio.timeout(_MEMORY_SECONDS):
                    return await memory_of(sandbox_id)
            except Exception:  # noqa: BLE001 - a list must not fail for a figure that is only nice to have
                return 0

        return await asyncio.gather(*(one(sandbox.sandbox_id) for sandbox in sandboxes))


def pool_message(pool: PoolSnapshot) -> pool_pb2.Pool:
    """Return a pool as clients see it."""
    message = pool_pb2.Pool(
        template=pool.template,
        state=POOL_STATES[pool.state],
        degraded_reason=pool.degraded_reason,
        min_ready=pool.min_ready,
        max_total=pool.max_total,
        starting_count=pool.starting_count,
        ready_count=pool.ready_count,
        assigned_count=pool.assigned_count,
        retiring_count=pool.retiring_count,
        waiting_count=pool.waiting_count,
        started_count=pool.started_count,
        failed_count=pool.failed_count,
    )
    message.start_time_p50.FromMicroseconds(int(pool.start_time_p50 * 1e6))
    return message


def sandbox_message(sandbox: SandboxSnapshot, memory_bytes: int = 0) -> pool_pb2.Sandbox:
    """Return a sandbox as clients see it."""
    message = pool_pb2.Sandbox(
        sandbox_id=sandbox.sandbox_id,
        template=sandbox.template,
        state=SANDBOX_STATES[sandbox.state],
        session_id=sandbox.session_id,
        reason=sandbox.reason,
        memory_bytes=memory_bytes,
    )
    message.create_time.FromDatetime(sandbox.create_time)
    return message


def event_message(change: PoolChange) -> pool_pb2.PoolEvent:
    """Return a change as clients see it."""
    sandbox = None if change.sandbox is None else sandbox_message(change.sandbox)
    event = pool_pb2.PoolEvent(pool=pool_message(change.pool), sandbox=sandbox, message=change.message)
    event.time.FromDatetime(change.time)
    return event


def _after(sandboxes: list[SandboxSnapshot], create_time: datetime, sandbox_id: str) -> list[SandboxSnapshot]:
    for index, sandbox in enumerate(sandboxes):
        if sandbox.sandbox_id == sandbox_id:
            return sandboxes[index + 1 :]
    # It is gone: what was younger then is younger now.
    return [sandbox for sandbox in sandboxes if _key(sandbox) > (create_time, sandbox_id)]


def _key(sandbox: SandboxSnapshot) -> tuple[datetime, str]:
    return sandbox.create_time, sandbox.sandbox_id
