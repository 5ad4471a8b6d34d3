"""A real HTTP server that speaks S3, behind a line that can be cut."""

from __future__ import annotations

import asyncio
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import boto3


class Line:
    """Passes connections on to a port of loopback, until it is cut or blocked."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.waiting = threading.Event()
        """Set once something waits for a blocked line."""
        self._thread = threading.Thread(target=self._loop.run_forever, name="line")
        self._thread.start()
        self.port = 0
        self.mend()

    def cut(self) -> None:
        """Break what is open, and refuse what comes."""
        self._do(self._cut())

    def mend(self) -> None:
        """Let connections through."""
        self._do(self._mend())

    def block(self) -> None:
        """Keep what is sent, either way, until the line is mended."""
        self.waiting.clear()
        self._loop.call_soon_threadsafe(self._open.clear)

    def close(self) -> None:
        """End."""
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()

    async def _mend(self) -> None:
        self._open.set()
        if self._server is not None:
            return
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(onward_writer)
            try:
                await asyncio.gather(self._pump(reader, onward_writer), self._pump(onward_reader, writer))
            finally:
                self._writers.discard(onward_writer)
                onward_writer.transport.abort()
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if not self._open.is_set():
                self.waiting.set()
                await self._open.wait()
            writer.write(data)
            await writer.drain()
        writer.close()


@contextmanager
def s3_server() -> Iterator[str]:
    """Run one on a port of the system's choosing; yield its address."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as server:
        assert server.stderr is not None
        for line in server.stderr:
            found = re.search(r"Running on (http://127\.0\.0\.1:\d+)", line)
            if found is not None:
                break
        else:
            raise AssertionError("the S3 server did not start")
        # What it logs from now on nobody reads; a full pipe would stop it.
        drain = subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
        try:
            yield found[1]
        finally:
            server.terminate()
            server.wait(20)
            drain.wait(20)


def make_bucket(endpoint: str) -> str:
    """Make a bucket and return its name."""
    name = f"bucket-{secrets.token_hex(8)}"
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    client.create_bucket(Bucket=name)
    client.close()
    return name
