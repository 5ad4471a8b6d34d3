"""Baseline B1: what two hops of bare gRPC in Python cost.

A client over TCP, a pass-through proxy on grpc.aio, and behind it over a Unix socket a worker on grpc.aio that answers
with two small messages (streaming) or one (unary). No sandbox, no interpreter, no bookkeeping: the price of the road.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import grpc.aio

STREAM = "/bench.TwoHops/Stream"
UNARY = "/bench.TwoHops/Unary"
REQUEST = b"session-0123456789abcdef operation-0123456789abcdef 1+1"
MESSAGE = b"x" * 120


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, stream: object, unary: object) -> None:
        self._by_name = {
            STREAM: grpc.unary_stream_rpc_method_handler(stream),
            UNARY: grpc.unary_unary_rpc_method_handler(unary),
        }

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return self._by_name.get(details.method)


async def _worker(address: str) -> None:
    async def stream(_request: bytes, _context: object) -> AsyncIterator[bytes]:
        yield MESSAGE
        yield MESSAGE

    async def unary(_request: bytes, _context: object) -> bytes:
        return MESSAGE

    await _serve(address, stream, unary)


async def _proxy(address: str, behind: str) -> None:
    channel = grpc.aio.insecure_channel(behind)
    worker_stream = channel.unary_stream(STREAM)
    worker_unary = channel.unary_unary(UNARY)

    async def stream(request: bytes, _context: object) -> AsyncIterator[bytes]:
        async for message in worker_stream(request):
            yield message

    async def unary(request: bytes, _context: object) -> bytes:
        return await worker_unary(request)

    await _serve(address, stream, unary)


async def _serve(address: str, stream: object, unary: object) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Handlers(stream, unary),))
    port = server.add_insecure_port(address)
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


@contextmanager
def two_hops() -> Iterator[str]:
    """Run proxy and worker, each in a process of its own; yield the proxy's address."""
    with tempfile.TemporaryDirectory(prefix="sandbank-bench-") as directory:
        socket = f"unix:{Path(directory) / 'worker.sock'}"
        command = [sys.executable, "-m", "tests.benchmarks.two_hops"]
        worker = subprocess.Popen([*command, "worker", socket], stdout=subprocess.PIPE, text=True)
        proxy = subprocess.Popen(
            [*command, "proxy", "127.0.0.1:0", socket], stdout=subprocess.PIPE, text=True
        )
        try:
            assert worker.stdout is not None
            assert proxy.stdout is not None
            worker.stdout.readline()
            yield f"127.0.0.1:{int(proxy.stdout.readline())}"
        finally:
            for process in (proxy, worker):
                process.terminate()
                process.communicate()


if __name__ == "__main__":
    asyncio.run(_worker(sys.argv[2]) if sys.argv[1] == "worker" else _proxy(*sys.argv[2:4]))
