"""The metrics port: a very small HTTP server that knows two paths.

It runs on the control plane's own loop, so it needs no thread and no lock: `/metrics` for Prometheus,
`/healthz` for a load balancer that speaks no grpc. Off unless an address is configured.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from sandbank_server.listen import ListenError, split_address
from sandbank_server.observability.metrics import CONTENT_TYPE, Metrics

_log = structlog.get_logger("sandbank.metrics")
_REQUEST_LIMIT = 16 * 1024
_TIMEOUT = 10.0


class MetricsServer:
    """Serves the metrics over HTTP."""

    def __init__(self, metrics: Metrics, refresh: Callable[[], None] = lambda: None) -> None:
        """Serve ``metrics``; ``refresh`` is called before each scrape, to set what is read and not counted."""
        self._metrics = metrics
        self._refresh = refresh
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, address: str) -> int:
        """Listen; return the port. Raises ListenError."""
        host, port = split_address(address)
        try:
            self._server = await asyncio.start_server(self._connected, host, port, limit=_REQUEST_LIMIT)
        except OSError as error:
            raise ListenError(f"cannot serve metrics on {address}: {error.strerror or error}") from None
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and end what is open."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            # Last: from Python 3.12 on it waits for the connections.
            await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            async with asyncio.timeout(_TIMEOUT):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head.split(b"\r\n", 1)[0]))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # no HTTP, too long, too slow, or gone: nothing to answer
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _answer(self, request_line: bytes) -> bytes:
        method, _, rest = request_line.partition(b" ")
        path = rest.split(b" ", 1)[0].split(b"?", 1)[0]
        if method not in (b"GET", b"HEAD"):
            status, kind, body = "405 Method Not Allowed", "text/plain", b"GET only\n"
        elif path == b"/metrics":
            self._refresh()
            status, kind, body = "200 OK", CONTENT_TYPE, self._metrics.text()
        elif path == b"/healthz":
            status, kind, body = "200 OK", "text/plain", b"ok\n"
        else:
            status, kind, body = "404 Not Found", "text/plain", b"see /metrics\n"
        lines = [
            f"HTTP/1.1 {status}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        head = "\r\n".join(lines).encode() + b"\r\n\r\n"
        return head if method == b"HEAD" else head + body
