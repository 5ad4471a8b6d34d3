"""Many calls at once, from one asyncio client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import grpc.aio
from sandbank.v1 import execution_pb2, execution_pb2_grpc, session_pb2, session_pb2_grpc

from tests.benchmarks.report import Times
from tests.benchmarks.two_hops import REQUEST, STREAM, UNARY


async def _rate(calls: list[Callable[[], Awaitable[None]]], seconds: float) -> float:
    """Return calls per second when each of ``calls`` is made over and over, all at once."""
    done = 0
    until = time.perf_counter() + seconds

    async def loop(call: Callable[[], Awaitable[None]]) -> None:
        nonlocal done
        while time.perf_counter() < until:
            await call()
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*map(loop, calls))
    return done / (time.perf_counter() - began)


async def two_hop_rate(address: str, parallel: int, seconds: float, *, unary: bool = False) -> float:
    """Return the rate of B1."""
    async with grpc.aio.insecure_channel(address) as channel:
        stream, call = channel.unary_stream(STREAM), channel.unary_unary(UNARY)

        async def one() -> None:
            if unary:
                await call(REQUEST)
            else:
                async for _ in stream(REQUEST):
                    pass

        return await _rate([one] * parallel, seconds)


async def execute_rate(
    address: str, session_ids: list[str], code: str, seconds: float, *, unary: bool = False
) -> float:
    """Return the rate of Execute (or Run), one call at a time in each session, all sessions at once."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = execution_pb2_grpc.ExecutionServiceStub(channel)

        def one(session_id: str) -> Callable[[], Awaitable[None]]:
            request = execution_pb2.ExecuteRequest(session_id=session_id, code=code)

            async def call() -> None:
                if unary:
                    await stub.Run(execution_pb2.RunRequest(execute=request))
                else:
                    async for _ in stub.Execute(request):
                        pass

            return call

        return await _rate([one(session_id) for session_id in session_ids], seconds)


async def create_burst(address: str, template: str, count: int) -> tuple[list[str], Times, float]:
    """Create ``count`` sessions at once; return their ids, the times of the calls, and the whole in ms."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = session_pb2_grpc.SessionServiceStub(channel)
        await stub.ListSessions(session_pb2.ListSessionsRequest(page_size=1))
        times: list[float] = []

        async def one() -> str:
            began = time.perf_counter()
            response = await stub.CreateSession(session_pb2.CreateSessionRequest(template=template))
            times.append((time.perf_counter() - began) * 1e3)
            return str(response.session.session_id)

        began = time.perf_counter()
        ids = await asyncio.gather(*(one() for _ in range(count)))
        return list(ids), Times(times), (time.perf_counter() - began) * 1e3


async def delete_all(address: str, session_ids: list[str]) -> None:
    """End sessions."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = session_pb2_grpc.SessionServiceStub(channel)
        requests = (session_pb2.DeleteSessionRequest(session_id=each) for each in session_ids)
        await asyncio.gather(*(stub.DeleteSession(request) for request in requests))
