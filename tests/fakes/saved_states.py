"""States saved and brought back without their content: the faults and the moments are what a test chooses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sandbank_server.checkpoints.manifest import Manifest
from sandbank_server.checkpoints.transfer import Taken
from sandbank_server.errors import CheckpointCorruptError
from sandbank_server.runners.link import RunnerLink
from sandbank_server.sessions.life import restoring, saving
from sandbank_server.sessions.life.transfer import Written

from tests.fakes.scripted_supervisor import ScriptedSupervisor
from tests.fakes.session_world import World


class Moment:
    """A place where a test may hold what comes by. ``errors`` are raised there, first come first."""

    def __init__(self) -> None:
        self.count = 0
        self.reached = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.errors: list[Exception] = []
        self.hold_at = 0
        """Who comes as this one, counted from 1, finds it closed."""

    def close(self) -> None:
        """Hold who comes next."""
        self.reached.clear()
        self.gate.clear()

    async def pass_by(self) -> None:
        """Wait for the gate, then go on or fail."""
        self.count += 1
        if self.count == self.hold_at:
            self.close()
        self.reached.set()
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)


class SavedStates:
    """Stands for what the sandboxes of a world write and load."""

    def __init__(self, world: World, patch: pytest.MonkeyPatch) -> None:
        self.saving = Moment()
        self.loading = Moment()
        self.lost: list[str] = []
        """Variables that cannot be saved."""
        self.behind = 0
        """So many operations older than now is the copy that the next checkpoints are written of."""
        self.state = 0
        """The sandbox's number of the state that the next checkpoints are written of; 0: it says none."""
        self.damaged: set[str] = set()
        """Checkpoints that cannot be loaded."""
        self._world = world
        world.keep_checkpoints()
        patch.setattr(saving, "write_state", self._write)
        patch.setattr(restoring, "load_state", self._load)

    def _sandbox_of(self, link: RunnerLink) -> ScriptedSupervisor:
        every = self._world.pool.sandboxes.values()
        return next(sandbox for sandbox in every if sandbox.endpoint == link.endpoint)

    async def _write(
        self,
        link: RunnerLink,
        _store: object,
        _tenant: str,
        _checkpoint_id: str,
        _find_base: object,
        keep: Callable[[Written], Awaitable[None]],
        **_options: object,
    ) -> Written:
        sandbox = self._sandbox_of(link)
        finished = [name for name, record in sandbox.journal.items() if record.finished]
        as_of = (["", *finished])[: len(finished) + 1 - self.behind][-1]
        count = sandbox.execution_count
        await self.saving.pass_by()
        variables = [
            {"name": name, "type": "generator", "size": 0, "fidelity": "LOST", "reason": "-", "shares": ""}
            for name in self.lost
        ]
        group = {"variables": variables, "pickle": [], "buffers": []}
        manifest = Manifest(groups=[group], python="3.13.5", execution_count=count, operation=as_of)
        written = Written(Taken(manifest, 0), as_of, count, stale=self.behind > 0, state=self.state)
        await keep(written)
        return written

    async def _load(self, link: RunnerLink, *_given: object, **options: object) -> dict[str, object]:
        self._sandbox_of(link)
        await self.loading.pass_by()
        if options.get("checkpoint_id") in self.damaged:
            raise CheckpointCorruptError("a chunk is missing; nothing was changed")
        return {"lost": []}
