"""What sessions need, for tests: a pool of scripted sandboxes, a catalog that can fail, a clock that stands still."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from sandbank.v1 import execution_pb2, session_pb2
from sandbank_server.blobs.directory import DirectoryBlobs
from sandbank_server.catalog.base import SessionRecord
from sandbank_server.catalog.sql import SqlCatalog
from sandbank_server.checkpoints.library import CheckpointLibrary
from sandbank_server.errors import SandboxLostBeforeStartError, StoreUnavailableError
from sandbank_server.runners.link import RunnerLink
from sandbank_server.sessions.creation import NewSession
from sandbank_server.sessions.life.session import Session
from sandbank_server.sessions.manager import SessionManager
from sandbank_server.sessions.operations.submission import Submission
from sandbank_server.sessions.ports import SandboxLease, SessionLimits, SessionServices

from tests.fakes.clock import ManualClock
from tests.fakes.ids import CountedIds
from tests.fakes.scripted_supervisor import ScriptedSupervisor

State = session_pb2.Session
TENANT = "default"


class MemoryLease:
    """Implements ``SandboxLease``."""

    def __init__(self, pool: MemoryPool, sandbox_id: str, link: RunnerLink) -> None:
        self._pool = pool
        self.sandbox_id = sandbox_id
        self.link = link

    def confirm(self) -> None:
        """The session has it."""
        if self._pool.states[self.sandbox_id] != "leased":
            raise SandboxLostBeforeStartError("lost before it was confirmed")
        self._pool.states[self.sandbox_id] = "confirmed"

    async def release(self, reason: str) -> None:
        """The session does not take it."""
        if self._pool.states[self.sandbox_id] == "leased":
            await self._pool.retire(self.sandbox_id, reason)


class MemoryPool:
    """Implements ``SandboxSource`` with scripted sandboxes. ``states`` by id: leased, confirmed, retired, lost."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.sandboxes: dict[str, ScriptedSupervisor] = {}
        self.states: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.prepare: Callable[[ScriptedSupervisor], None] = lambda _sandbox: None
        """Called with each new sandbox before it is dialled."""
        self.on_exit: Callable[[str, str, str], None] = lambda _session, _sandbox, _reason: None
        self.errors: list[Exception] = []
        """Raised by the next calls of acquire, first come first."""
        self._ending: set[asyncio.Task[None]] = set()
        self._links: list[RunnerLink] = []

    async def acquire(self, _template: str, session_id: str, _timeout: float | None = None) -> SandboxLease:
        """Start one."""
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        sandbox = await self.add()
        self.states[sandbox.sandbox_id] = "leased"
        try:
            return MemoryLease(self, sandbox.sandbox_id, await self.dial(sandbox))
        except BaseException:
            await self.retire(sandbox.sandbox_id, "not dialled")
            raise

    async def add(self) -> ScriptedSupervisor:
        """Make a sandbox."""
        number = len(self.sandboxes) + 1
        sandbox = ScriptedSupervisor(self._directory / f"{number}", f"sb-{number:012d}")
        self.sandboxes[sandbox.sandbox_id] = sandbox
        self.prepare(sandbox)
        await sandbox.listen()
        return sandbox

    async def dial(self, sandbox: ScriptedSupervisor) -> RunnerLink:
        """Connect to a sandbox as the pool does."""
        link = await RunnerLink.connect(sandbox.endpoint, sandbox.sandbox_id, 5)
        self._links.append(link)
        return link

    async def retire(self, sandbox_id: str, reason: str) -> None:
        """Destroy one, later."""
        self._end(sandbox_id, "retired", reason)

    def report_lost(self, sandbox_id: str, reason: str) -> None:
        """Destroy one that is lost, later; the session is told, as the real pool does."""
        session_id = self.sandboxes[sandbox_id].session_id
        if self._end(sandbox_id, "lost", reason):
            self.on_exit(session_id, sandbox_id, reason)

    def _end(self, sandbox_id: str, state: str, reason: str) -> bool:
        if self.states.get(sandbox_id) in ("retired", "lost"):
            return False
        self.states[sandbox_id], self.reasons[sandbox_id] = state, reason
        task = asyncio.get_running_loop().create_task(self.sandboxes[sandbox_id].die())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return True

    async def close(self) -> None:
        """End what is left of the fakes."""
        await asyncio.gather(*self._ending)
        for link in self._links:
            await link.close()
        for sandbox in self.sandboxes.values():
            await sandbox.die()


class FragileCatalog(SqlCatalog):
    """A real catalog on a real file whose writes can be made to fail or wait."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.broken = False
        self.failures = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = asyncio.Event()

    async def put_session(self, record: SessionRecord) -> None:
        """Write, unless broken."""
        self.waiting.set()
        await self.gate.wait()
        if self.broken:
            self.failures += 1
            raise StoreUnavailableError("the catalog cannot be reached")
        await super().put_session(record)


class Observed:
    """Implements ``SessionObserver`` by remembering."""

    def __init__(self) -> None:
        self.finished: list[execution_pb2.Operation] = []
        self.crashes: list[str] = []
        self.transactions: list[tuple[bool, str]] = []
        self.rollbacks: list[str] = []
        self.links: list[bool] = []
        self.checkpoints: list[str] = []
        self.changes: list[str] = []

    def operation_finished(self, _template: str, operation: execution_pb2.Operation, _trace: str) -> None:
        """See the port."""
        self.finished.append(operation)

    def interpreter_crashed(self, _template: str, reason: str) -> None:
        """See the port."""
        self.crashes.append(reason)

    def transaction_ended(self, _tenant: str, *, committed: bool, reason: str) -> None:
        """See the port."""
        self.transactions.append((committed, reason))

    def rolled_back(self, _tenant: str, cause: str) -> None:
        """See the port."""
        self.rollbacks.append(cause)

    def link_lost(self, _template: str, *, found_again: bool) -> None:
        """See the port."""
        self.links.append(found_again)

    def checkpoint_made(self, _tenant: str, *, automatic: bool, seconds: float, new_bytes: int) -> None:
        """See the port."""
        assert seconds >= 0
        assert new_bytes >= 0
        self.checkpoints.append("policy" if automatic else "asked")

    def checkpoint_failed(self, _tenant: str, *, automatic: bool, reason: str) -> None:
        """See the port."""
        self.checkpoints.append(f"{'policy' if automatic else 'asked'}: {reason}")

    def came_to(self, _tenant: str, what: str) -> None:
        """See the port."""
        self.changes.append(what)


class World:
    """A manager and what is around it; :meth:`restart` is a kill -9 and a new start of the control plane."""

    def __init__(self, directory: Path, limits: SessionLimits) -> None:
        self.directory = directory
        self.limits = limits
        self.clock = ManualClock()
        self.ids = CountedIds()
        self.pool = MemoryPool(directory / "s")
        self.catalog = FragileCatalog(f"sqlite:///{directory / 'catalog.sqlite3'}")
        self.observed = Observed()
        self.library: CheckpointLibrary | None = None
        self._blobs: DirectoryBlobs | None = None
        self.manager = self._make_manager()

    def keep_checkpoints(self) -> None:
        """Have a library, in a directory; before anything else is done."""
        self._blobs = DirectoryBlobs(self.directory / "checkpoints")
        self.library = CheckpointLibrary(self._blobs, self.catalog, self.clock)
        self.manager = self._make_manager()

    def _make_manager(self) -> SessionManager:
        manager = SessionManager(
            SessionServices(
                pool=self.pool,
                catalog=self.catalog,
                clock=self.clock,
                ids=self.ids,
                observer=self.observed,
                log_directory=str(self.directory / "operations"),
                library=self.library,
                limits=self.limits,
            )
        )
        self.pool.on_exit = manager.sandbox_exited
        return manager

    # What tests do.

    async def create(self, **fields: object) -> Session:
        """Make a session."""
        told = await self.manager.create(self.new(**fields))
        session = self.manager.live(TENANT, told.session_id)
        assert session is not None
        return session

    @staticmethod
    def new(**fields: object) -> NewSession:
        """Return a request for a session."""
        usual = {
            "tenant": TENANT,
            "template": "slim",
            "idle_timeout": timedelta(minutes=15),
            "max_lifetime": timedelta(hours=24),
        }
        return NewSession(**{**usual, **fields})  # type: ignore[arg-type]

    def sandbox_of(self, session: Session) -> ScriptedSupervisor:
        """Return the sandbox that serves a session."""
        return self.pool.sandboxes[session.record.sandbox_id]

    async def submit(
        self, session: Session, operation_id: str, code: str = "1", **fields: object
    ) -> AsyncIterator[bytes]:
        """Run code in a session; returns once the sandbox has it."""
        events = await session.execute(submission(session.session_id, operation_id, code, **fields))
        sandbox = self.sandbox_of(session)
        await until(lambda: operation_id in sandbox.journal)
        return events

    async def run(self, session: Session, operation_id: str, **fields: object) -> None:
        """Run code to its end."""
        events = await self.submit(session, operation_id)
        self.sandbox_of(session).run(operation_id, **fields)
        assert [each async for each in events]

    async def restart(self) -> SessionManager:
        """Forget everything as a killed control plane does, and start a new one on what is left."""
        old = self.manager
        for session in list(old._sessions.values()):
            await forget(session)
        old._sessions.clear()
        await old.close()
        self.manager = self._make_manager()
        records = await self.manager.live_records()
        leases: dict[str, SandboxLease] = {}
        for record in records:
            sandbox = self.pool.sandboxes.get(record.sandbox_id)
            if sandbox is not None and sandbox.alive:
                link = await self.pool.dial(sandbox)
                leases[record.session_id] = MemoryLease(self.pool, sandbox.sandbox_id, link)
        await self.manager.adopt(records, leases)
        return self.manager

    async def close(self) -> None:
        """End, and check that nothing is left behind or contradicts itself."""
        self.catalog.gate.set()
        self.catalog.broken = False
        self.pool.gate.set()
        for session in list(self.manager._sessions.values()):
            check_session(session, self.pool)
        await self.manager.close()
        await self.pool.close()
        await self.catalog.close()
        if self._blobs is not None:
            await self._blobs.close()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert not left, left


async def forget(session: Session) -> None:
    """Let a session vanish without a word, as a kill does."""
    # Twice: a task that is being cancelled may just have found its sandbox again.
    for _ in range(2):
        link = session.operations.link
        if link is not None:
            link._on_close.clear()
            link.hang_up()
        await session._tasks.cancel()
    session.operations.log.close()


def check_session(session: Session, pool: MemoryPool) -> None:
    """Assert what must always hold of a live session."""
    session.check_invariants()
    sandbox_id = session.record.sandbox_id
    if session.record.state in (State.STATE_ACTIVE, State.STATE_IDLE):
        assert pool.states[sandbox_id] == "confirmed", (sandbox_id, pool.states)
    if session.record.state in (State.STATE_CRASHED, State.STATE_HIBERNATED):
        assert sandbox_id == ""


def submission(session_id: str, operation_id: str, code: str = "1", **fields: object) -> Submission:
    """Return a request to run code."""
    request = execution_pb2.ExecuteRequest(
        session_id=session_id, operation_id=operation_id, code=code, **fields
    )
    return Submission(request, operation_id, 60.0, 8 << 20)


@asynccontextmanager
async def world(directory: Path, **limits: object) -> AsyncIterator[World]:
    """Make a world, and check at its end that it is in order and that no descriptor is left of it."""
    before = len(os.listdir("/proc/self/fd"))
    made = World(directory, SessionLimits(**limits))  # type: ignore[arg-type]
    await made.catalog.start()
    try:
        yield made
    finally:
        await made.close()
    assert len(os.listdir("/proc/self/fd")) <= before


async def until(condition: Callable[[], bool]) -> None:
    """Give other tasks their turn until something holds; a test's own time limit ends what never does."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0)


async def collect(events: AsyncIterator[bytes]) -> list[execution_pb2.OperationEvent]:
    """Read a stream of events to its end."""
    return [execution_pb2.OperationEvent.FromString(each) async for each in events]


async def state_of(session: Session, state: int) -> None:
    """Wait until a session is in a state, by what its watchers are told."""
    async with asyncio.timeout(10):
        async for event in session.watch(0):
            if event.HasField("session_changed") and event.session_changed.state == state:
                return
