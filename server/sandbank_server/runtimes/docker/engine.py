"""Calls to the engine, from an event loop.

The client library blocks. Its calls run in a few threads of their own, each bounded in time, so that an
engine that hangs makes callers fail and nothing else. What it answers is sorted into two kinds: no answer,
which is nobody's fault here (:class:`EngineAbsent`), and a refusal (:class:`EngineRefused`).
"""

from __future__ import annotations

import asyncio
import math
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import docker.errors
import requests
from docker import APIClient

from sandbank_server.runtimes.base import RuntimeUnavailable
from sandbank_server.runtimes.docker.settings import DockerSettings

Result = TypeVar("Result")

_QUEUE_FACTOR = 4
"""How many times a call's own time it may wait for its turn."""


class EngineAbsent(RuntimeUnavailable):
    """No engine answers, for whatever reason."""


class EngineRefused(Exception):
    """The engine answered, with an error. ``explanation`` is its own sentence."""

    def __init__(self, what: str, status: int, explanation: str) -> None:
        super().__init__(f"{what}: {explanation}")
        self.status = status
        self.explanation = explanation

    @property
    def not_found(self) -> bool:
        """What the call was about does not exist."""
        return self.status == 404


class Engine:
    """One engine. Calls may be made from any task of one event loop."""

    def __init__(self, settings: DockerSettings) -> None:
        """Raise :class:`RuntimeUnavailable` for an address that is not a Unix socket's."""
        if not settings.engine_url.startswith("unix://"):
            raise RuntimeUnavailable(
                f"{settings.engine_url!r:.80}: sandboxes need an engine on this host, at unix://PATH"
            )
        self.url = settings.engine_url
        self._seconds = settings.call_seconds
        self._turns = asyncio.Semaphore(settings.parallel_calls)
        self._threads = ThreadPoolExecutor(settings.parallel_calls, thread_name_prefix="engine")
        self._client: APIClient | None = None
        self._connecting = threading.Lock()

    def connect(self) -> APIClient:
        """Return a client of its own, for a thread of its own. Blocks; raises what the library raises."""
        # Tried first by hand: the library leaves a socket open when it cannot connect, and buries the reason.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(self._seconds)
            probe.connect(self.url.removeprefix("unix://"))
        return APIClient(base_url=self.url, version="auto", timeout=math.ceil(self._seconds))

    async def call(self, what: str, function: Callable[[APIClient], Result]) -> Result:
        """Run ``function`` with a client in a thread; ``what`` is what it does, for messages.

        When the calling task is cancelled, the function still runs to its end. Raises
        :class:`RuntimeUnavailable` or :class:`EngineRefused`.
        """
        try:
            async with asyncio.timeout(self._seconds * _QUEUE_FACTOR):
                await self._turns.acquire()
        except TimeoutError as error:
            raise self._unavailable(what, "too many calls wait for it") from error
        try:
            running = asyncio.get_running_loop().run_in_executor(self._threads, self._run, what, function)
        except BaseException:
            self._turns.release()
            raise
        # The turn is over when the thread is free, not when the caller loses interest.
        running.add_done_callback(self._turn_over)
        return await asyncio.shield(running)

    def close(self) -> None:
        """Let go of the connections. Calls under way end by themselves, within their time."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    def _turn_over(self, done: asyncio.Future[Any]) -> None:
        self._turns.release()
        if not done.cancelled():
            done.exception()  # looked at: whoever made the call may be gone

    def _connected(self) -> APIClient:
        if not self._connecting.acquire(timeout=self._seconds):
            raise TimeoutError("timed out")
        try:
            if self._client is None:
                self._client = self.connect()
            return self._client
        finally:
            self._connecting.release()

    def _run(self, what: str, function: Callable[[APIClient], Result]) -> Result:
        try:
            return function(self._connected())
        except docker.errors.APIError as error:
            status = error.response.status_code if error.response is not None else 500
            raise EngineRefused(what, status, _sentence(error.explanation or error)) from error
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            raise self._unavailable(what, _sentence(_cause(error))) from error

    def _unavailable(self, what: str, reason: str) -> EngineAbsent:
        return EngineAbsent(
            f"{what}: the Docker Engine at {self.url.removeprefix('unix://')} does not answer ({reason}); "
            "check that it runs and that this user may use its socket"
        )


def _cause(error: BaseException) -> BaseException:
    """Return the error at the bottom of what the libraries wrapped round it."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = next((part for part in error.args if isinstance(part, BaseException)), None)
        reason = getattr(error, "reason", None)
        error = inner or (reason if isinstance(reason, BaseException) else None) or error.__cause__ or error
    return error


def _sentence(what: Any) -> str:
    """Return one line of bounded length: it ends in logs and in an operator's terminal."""
    text = " ".join((what.decode(errors="replace") if isinstance(what, bytes) else str(what)).split())
    return text[:500] or type(what).__name__
