"""Random lives of a session: whatever happens in whatever order, what was promised holds."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sandbank.v1 import execution_pb2, session_pb2
from sandbank_server.errors import DomainError, EventsEvictedError
from sandbank_server.sessions.life.reattach import STABLE_SECONDS
from sandbank_server.sessions.life.session import Session
from sandbank_server.sessions.operations.submission import Submission

from tests.fakes.clock import settle
from tests.fakes.scripted_supervisor import ScriptedSupervisor
from tests.fakes.session_world import TENANT, World, check_session, submission, until, world

Operation = execution_pb2.Operation
State = session_pb2.Session
STEPS = 60


def goes_on_after(error: EventsEvictedError, seen: int) -> int:
    """Return after which sequence a watcher goes on: the server says where, and it is further on."""
    first = int(error.metadata["first_sequence"])
    assert first > seen + 1, (seen, error.metadata)
    return first - 1


class Life:
    """One session, somebody who uses it, and fate."""

    def __init__(self, made: World, seed: int) -> None:
        self.made = made
        self.random = random.Random(seed)
        self.session_id = ""
        self.watchers: list[asyncio.Task[None]] = []
        self.others: list[asyncio.Task[None]] = []
        self.story: list[str] = []
        self.submitted = 0

    @property
    def session(self) -> Session:
        """The session as the present control plane has it."""
        session = self.made.manager.live(TENANT, self.session_id)
        assert session is not None, self.story
        return session

    @property
    def sandbox(self) -> ScriptedSupervisor | None:
        """The sandbox that serves it, if one does."""
        return self.made.pool.sandboxes.get(self.session.record.sandbox_id)

    async def live(self) -> None:
        """Let things happen."""
        self.session_id = (await self.made.create()).session_id
        actions = self.actions()
        for _ in range(STEPS):
            act = self.random.choices([each for each, _ in actions], [weight for _, weight in actions])[0]
            self.story.append(act.__name__)
            await act()
            await settle(self.random.choice((0, 1, 3, 10)))
            self.look()
        self.made.catalog.broken = False
        await self.settle_down()
        await self.made.manager.delete(TENANT, self.session_id)
        results = await asyncio.gather(*self.watchers, *self.others, return_exceptions=True)
        for result in results:
            if result is not None and not isinstance(result, asyncio.CancelledError):
                raise AssertionError(self.story) from result
        await self.check()

    def look(self) -> None:
        """Assert what must hold between any two events."""
        check_session(self.session, self.made.pool)

    async def settle_down(self) -> None:
        """Let what is under way come to rest before the session ends."""

    def actions(self) -> list[tuple[Callable[[], Awaitable[None]], int]]:
        """Return what may happen, and how often."""
        return [
            (self.submit, 8),
            (self.go_on, 14),
            (self.drop, 3),
            (self.die, 1),
            (self.replace, 2),
            (self.reset, 2),
            (self.notice, 1),
            (self.tick, 3),
            (self.break_catalog, 1),
            (self.restart, 2),
            (self.cancel_somebody, 1),
            (self.evict, 2),
        ]

    async def check(self) -> None:
        """Assert what was promised of the whole life."""
        runs = Counter(
            request.submit.operation_id
            for sandbox in self.made.pool.sandboxes.values()
            for request in sandbox.asked
            if request.HasField("submit")
        )
        assert not [name for name, count in runs.items() if count > 1], self.story
        found, _ = await self.made.manager.list_operations(TENANT, self.session_id, None, 1000)
        for operation in found:
            assert operation.state not in (Operation.STATE_PENDING, Operation.STATE_RUNNING), self.story
            assert operation.outcome != Operation.OUTCOME_UNSPECIFIED, (operation, self.story)
        assert not {"leased", "confirmed"} & set(self.made.pool.states.values()), self.story

    # What a client does.

    async def submit(self) -> None:
        """Run new code, or repeat an old id."""
        if self.submitted and self.random.random() < 0.2:
            name = f"op-{self.random.randrange(self.submitted)}"
        else:
            name, self.submitted = f"op-{self.submitted}", self.submitted + 1
        self.watchers.append(asyncio.create_task(self._follow(name)))

    def request(self, name: str) -> Submission:
        """Return the request that an id stands for."""
        return submission(self.session_id, name)

    async def _follow(self, name: str) -> None:
        """Watch an operation as a client does: go on where the stream broke, take nothing twice, see the end."""
        seen, ended = 0, False
        try:
            events = await self.made.manager.execute(TENANT, self.request(name))
        except DomainError:
            return  # refused: nothing was recorded
        while not ended:
            try:
                async for data in events:
                    event = execution_pb2.OperationEvent.FromString(data)
                    assert not ended, "an event after Finished"
                    if event.sequence <= seen:
                        continue
                    assert event.sequence == seen + 1 or event.HasField("finished"), (name, seen, event)
                    seen, ended = event.sequence, event.HasField("finished")
                assert ended, f"the stream of {name} ended at {seen} without Finished"
            except EventsEvictedError as error:
                seen = goes_on_after(error, seen)
                events = self.made.manager.watch_operation(TENANT, self.session_id, name, seen)

    async def cancel_somebody(self) -> None:
        """A client goes away."""
        if self.watchers:
            self.random.choice(self.watchers).cancel()

    async def reset(self) -> None:
        """Somebody resets, and may not wait for it."""
        task = asyncio.create_task(self._reset(self.session))
        self.others.append(task)
        await settle(self.random.choice((0, 2, 20)))
        if self.random.random() < 0.3:
            task.cancel()

    async def _reset(self, session: Session) -> None:
        with contextlib.suppress(DomainError):
            await session.reset(keep_files=self.random.random() < 0.5)

    # What fate does.

    async def go_on(self) -> None:
        """The sandbox starts, writes or ends what is first in its queue, as far as it has got it."""
        sandbox = self.sandbox
        if sandbox is None or not sandbox.alive:
            return
        waiting = [name for name, record in sandbox.journal.items() if not record.finished]
        if not waiting:
            return
        record = sandbox.journal[waiting[0]]
        if record.operation.state == Operation.STATE_PENDING:
            sandbox.start(waiting[0])
        elif self.random.random() < 0.5:
            sandbox.output(waiting[0], b"x")
        else:
            sandbox.finish(
                waiting[0], self.random.choice((Operation.STATE_SUCCEEDED, Operation.STATE_FAILED))
            )

    async def drop(self) -> None:
        """The link breaks."""
        self.made.clock.advance(STABLE_SECONDS)
        if self.sandbox is not None:
            self.sandbox.drop()

    async def die(self) -> None:
        """The sandbox dies."""
        if self.sandbox is not None:
            await self.sandbox.die()

    async def notice(self) -> None:
        """The engine says that the sandbox is dead."""
        if self.sandbox is not None:
            self.made.manager.sandbox_exited(self.session_id, self.sandbox.sandbox_id, "the engine says so")

    async def evict(self) -> None:
        """The journal runs out of room."""
        if self.sandbox is not None:
            for name, record in self.sandbox.journal.items():
                self.sandbox.evict(name, self.random.randrange(len(record.events) + 1))

    async def replace(self) -> None:
        """The interpreter dies."""
        if self.sandbox is not None and self.sandbox.alive:
            self.sandbox.replace_interpreter()

    async def tick(self) -> None:
        """Time passes."""
        try:
            await self.session.tick(self.made.clock.now())
        except DomainError:
            assert self.made.catalog.broken

    async def break_catalog(self) -> None:
        """The catalog fails, or works again."""
        self.made.catalog.broken = not self.made.catalog.broken

    async def restart(self) -> None:
        """The control plane is killed and started again; its clients' calls break."""
        broken, self.made.catalog.broken = self.made.catalog.broken, False
        for task in (*self.watchers, *self.others):
            task.cancel()
        await asyncio.gather(*self.watchers, *self.others, return_exceptions=True)
        await self.made.restart()
        self.made.catalog.broken = broken


@pytest.mark.parametrize("seed", range(40))
async def test_a_random_life(tmp_path: Path, seed: int) -> None:
    """No id runs twice, no stream ends without its Finished, nothing is left behind."""
    async with world(tmp_path) as made:
        async with asyncio.timeout(60):
            await Life(made, seed).live()
        await until(lambda: made.manager.live_states() == [])
