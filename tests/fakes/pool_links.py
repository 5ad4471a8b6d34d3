"""Links to runners that do not exist, and somebody who makes them, well or badly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sandbank_server.runtimes.base import LaunchedSandbox

from tests.fakes.runtime_saboteur import SaboteurRuntime, Trouble


class FakeLink:
    """Implements ``sandbank_server.pool.link.Link``."""

    def __init__(self, sandbox_id: str, session_id: str = "") -> None:
        self.sandbox_id = sandbox_id
        self.session_id = session_id
        self.closed = asyncio.Event()
        self._callbacks: list[Callable[[Any], None]] = []

    def add_close_callback(self, callback: Callable[[Any], None]) -> None:
        """See ``Link``."""
        if self.closed.is_set():
            callback(self)
        else:
            self._callbacks.append(callback)

    def break_off(self) -> None:
        """End, and say so, as when the peer has gone."""
        self.closed.set()
        for callback in self._callbacks:
            callback(self)
        self._callbacks.clear()

    def break_silently(self) -> None:
        """End before anybody was called back: the moment between the two."""
        self.closed.set()

    async def close(self) -> None:
        """See ``Link``."""
        self.break_off()


class Greeter:
    """The ``connect`` of a pool manager: keeps all links, greets well or badly."""

    def __init__(self, runtime: SaboteurRuntime) -> None:
        self._runtime = runtime
        self.trouble = Trouble()
        self.links: dict[str, FakeLink] = {}
        self.serves: dict[str, str] = {}
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, launched: LaunchedSandbox) -> FakeLink:
        """Greet."""
        await self.gate.wait()
        match self.trouble.next():
            case "fail":
                raise ConnectionRefusedError("nobody listens")
            case "crash":
                raise ZeroDivisionError("the password is hunter2")
            case "hang":
                await asyncio.Event().wait()
        seen = self._runtime.sandboxes.get(launched.sandbox_id)
        if seen is None or not seen.running:
            raise ConnectionRefusedError("nobody listens")
        link = FakeLink(launched.sandbox_id, self.serves.get(launched.sandbox_id, ""))
        self.links[launched.sandbox_id] = link
        return link
