"""Baseline B4: what the engine itself takes to create, start and remove a container like ours."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import docker

from tests.benchmarks.report import Times

LABEL = "sandbank-bench"


def _start(client: docker.DockerClient, image: str, number: int) -> object:
    container = client.containers.create(
        image,
        entrypoint=["sleep", "600"],
        command=[],
        name=f"{LABEL}-{number}-{time.monotonic_ns()}",
        labels=[LABEL],
        user="65534:65534",
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        mem_limit="512m",
        memswap_limit="512m",
        pids_limit=320,
        tmpfs={"/tmp": "size=32m"},
    )
    container.start()
    return container


def engine_rate(image: str, count: int = 24, parallel: int = 4) -> tuple[Times, float]:
    """Return the times of create and start one after another, and starts per second, ``parallel`` at once."""
    client = docker.from_env(max_pool_size=parallel + 2)
    made = []
    try:
        times = []
        for number in range(6):
            began = time.perf_counter()
            made.append(_start(client, image, number))
            times.append((time.perf_counter() - began) * 1e3)
        began = time.perf_counter()
        with ThreadPoolExecutor(parallel) as threads:
            made += threads.map(lambda number: _start(client, image, 100 + number), range(count))
        return Times(times), count / (time.perf_counter() - began)
    finally:
        with ThreadPoolExecutor(parallel) as threads:
            list(threads.map(lambda container: container.remove(force=True), made))
        client.close()
