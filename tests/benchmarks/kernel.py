"""Baseline B2: a Jupyter kernel, spoken to by jupyter_client."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager


class Kernel:
    """A started kernel. ``start_ms`` is how long it took until it was ready."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient, start_ms: float) -> None:
        self.manager = manager
        self.client = client
        self.start_ms = start_ms

    def execute(self) -> None:
        """Run `1+1` and wait for the reply and the kernel's idle status."""
        self.client.execute_interactive("1+1", output_hook=lambda _message: None, timeout=30)


@contextmanager
def kernel() -> Iterator[Kernel]:
    """Start a kernel, and end it."""
    began = time.perf_counter()
    manager = KernelManager()
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    try:
        yield Kernel(manager, client, (time.perf_counter() - began) * 1e3)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
