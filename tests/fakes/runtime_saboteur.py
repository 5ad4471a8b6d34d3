"""A runtime that starts nothing and can be told to misbehave in every way a real one could."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace

from sandbank_server.runtimes.base import (
    Endpoint,
    LaunchedSandbox,
    LaunchFailed,
    ObservedSandbox,
    RuntimeUnavailable,
    SandboxExit,
    SandboxRuntime,
    SandboxSpec,
    SandboxStats,
)


@dataclass(slots=True)
class Trouble:
    """How many of the next calls go wrong, and how. Each call uses up one of the first kind that is left.

    ``fail``: raise what the seam allows. ``crash``: raise what it does not. ``hang``: wait until cancelled.
    ``hang_on``: wait on, cancelled or not, until :meth:`SaboteurRuntime.let_go`. ``lie``: answer for another.
    """

    fail: int = 0
    crash: int = 0
    hang: int = 0
    hang_on: int = 0
    lie: int = 0

    def next(self) -> str:
        """Return what goes wrong now, or nothing."""
        for kind in ("fail", "crash", "hang", "hang_on", "lie"):
            left = getattr(self, kind)
            if left:
                setattr(self, kind, left - 1)
                return kind
        return ""


@dataclass(slots=True)
class SaboteurRuntime(SandboxRuntime):
    """Sandboxes that exist in a dict. ``gate`` closed holds every launch back, as a busy engine does."""

    name = "saboteur"
    launch_trouble: Trouble = field(default_factory=Trouble)
    destroy_trouble: Trouble = field(default_factory=Trouble)
    list_trouble: Trouble = field(default_factory=Trouble)
    sandboxes: dict[str, ObservedSandbox] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    launching: int = 0
    most_launching: int = 0
    destroying: int = 0
    most_destroying: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    destroy_gate: asyncio.Event = field(default_factory=asyncio.Event)
    list_gate: asyncio.Event = field(default_factory=asyncio.Event)
    _released: asyncio.Event = field(default_factory=asyncio.Event)
    _exits: asyncio.Queue[SandboxExit | Exception] = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        for gate in (self.gate, self.destroy_gate, self.list_gate):
            gate.set()

    # What tests do.

    def put(
        self,
        sandbox_id: str,
        template: str = "slim",
        *,
        running: bool = True,
        labels: Mapping[str, str] | None = None,
        exit_code: int | None = None,
    ) -> None:
        """Let a sandbox exist that nobody launched."""
        self.sandboxes[sandbox_id] = ObservedSandbox(
            sandbox_id, template, running, Endpoint("/nowhere", sandbox_id, 1), dict(labels or {}), exit_code
        )

    def kill(self, sandbox_id: str, *, tell: int = 1) -> None:
        """Let a sandbox die; ``tell``: how often the exit is reported."""
        self.sandboxes[sandbox_id] = replace(self.sandboxes[sandbox_id], running=False, exit_code=137)
        for _ in range(tell):
            self._exits.put_nowait(SandboxExit(sandbox_id, "killed by SIGKILL", 137))

    def report(self, exited: SandboxExit | Exception) -> None:
        """Report an exit, or break the stream of them."""
        self._exits.put_nowait(exited)

    def let_go(self) -> None:
        """End every call that hangs on."""
        self._released.set()

    def repair(self) -> None:
        """Behave from now on."""
        self.launch_trouble, self.destroy_trouble, self.list_trouble = Trouble(), Trouble(), Trouble()
        self.let_go()
        for gate in (self.gate, self.destroy_gate, self.list_gate):
            gate.set()

    # The seam.

    async def start(self) -> None:
        """See the base class."""

    async def launch(self, spec: SandboxSpec) -> LaunchedSandbox:
        """See the base class."""
        self.calls["launch"] += 1
        self.launching += 1
        self.most_launching = max(self.most_launching, self.launching)
        try:
            await asyncio.sleep(0)  # nothing is started at once
            await self.gate.wait()
            trouble = self.launch_trouble.next()
            await self._misbehave(trouble, LaunchFailed("the entrypoint is not there"))
            sandbox_id = "sb-somebodyelse" if trouble == "lie" else spec.sandbox_id
            self.put(sandbox_id, spec.template.name, labels=spec.labels)
            return LaunchedSandbox(sandbox_id, self.sandboxes[sandbox_id].endpoint)
        finally:
            self.launching -= 1

    async def destroy(self, sandbox_id: str) -> None:
        """See the base class."""
        self.calls["destroy"] += 1
        self.destroying += 1
        self.most_destroying = max(self.most_destroying, self.destroying)
        try:
            await self.destroy_gate.wait()
            trouble = self.destroy_trouble.next()
            await self._misbehave(trouble, RuntimeUnavailable("the engine does not answer"))
            if trouble != "lie":
                self.sandboxes.pop(sandbox_id, None)
        finally:
            self.destroying -= 1

    async def list_sandboxes(self) -> list[ObservedSandbox]:
        """See the base class."""
        self.calls["list"] += 1
        listed = list(self.sandboxes.values())
        await self.list_gate.wait()
        await self._misbehave(self.list_trouble.next(), RuntimeUnavailable("the engine does not answer"))
        return listed

    async def exits(self) -> AsyncIterator[SandboxExit]:
        """See the base class."""
        while True:
            exited = await self._exits.get()
            if isinstance(exited, Exception):
                raise exited
            yield exited

    async def stats(self, sandbox_id: str) -> SandboxStats:
        """See the base class."""
        return SandboxStats(0, 0)

    async def close(self) -> None:
        """See the base class."""

    async def _misbehave(self, trouble: str, allowed: Exception) -> None:
        match trouble:
            case "fail":
                raise allowed
            case "crash":
                raise ZeroDivisionError("the password is hunter2")
            case "hang":
                await asyncio.Event().wait()
            case "hang_on":
                while not self._released.is_set():
                    try:
                        await self._released.wait()
                    except asyncio.CancelledError:
                        continue
