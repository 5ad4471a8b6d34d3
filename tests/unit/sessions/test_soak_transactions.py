"""Random lives of a session with transactions: what the control plane says became of an operation is what did."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sandbank.v1 import execution_pb2, transaction_pb2
from sandbank_runner.v1 import runner_pb2
from sandbank_server.errors import DomainError
from sandbank_server.sessions.operations.submission import Submission

from tests.fakes.clock import settle
from tests.fakes.scripted_supervisor import ScriptedSupervisor
from tests.fakes.session_world import TENANT, World, submission, until, world
from tests.unit.sessions.test_soak import Life

Operation = execution_pb2.Operation
Outcome = Operation.Outcome
Transaction = transaction_pb2.Transaction
EXPLICIT = transaction_pb2.TX_POLICY_EXPLICIT

COMMITTED, PARTIAL = Operation.OUTCOME_COMMITTED, Operation.OUTCOME_PARTIAL
LOST, ROLLED_BACK = Operation.OUTCOME_LOST, Operation.OUTCOME_ROLLED_BACK
PENDING, NOT_STARTED = Operation.OUTCOME_PENDING, Operation.OUTCOME_NOT_STARTED
KEPT = (COMMITTED, PARTIAL)


class Truth:
    """What really became of the operations in one sandbox, as its supervisor decides it."""

    def __init__(self, sandbox: ScriptedSupervisor) -> None:
        self.sandbox = sandbox
        self.outcomes: dict[str, int] = {}
        self.frozen: set[str] = set()
        """Ended by a reset: a later loss does not touch them."""
        self.open = ""
        self.members: list[str] = []

    def start(self, name: str) -> None:
        """Let an operation begin, or be refused because of what happened since it was queued."""
        submit = self.sandbox.journal[name].submit
        if submit.HasField("begin") and not self.open:
            self.open, self.members = self.sandbox.start_transaction(name), [name]
        elif submit.transaction_id != self.open:
            self.refuse(name)
        else:
            if self.open:
                self.members.append(name)
            self.sandbox.start(name)

    def refuse(self, name: str) -> None:
        """Let an operation end without having begun."""
        self.outcomes[name] = NOT_STARTED
        self.sandbox.finish(name, Operation.STATE_FAILED, outcome=NOT_STARTED)

    def finish(self, name: str, state: int) -> None:
        """Let an operation end."""
        outcome = COMMITTED if state == Operation.STATE_SUCCEEDED else PARTIAL
        if self.open and name in self.members:
            outcome = PENDING
        if state == Operation.STATE_TIMED_OUT:
            outcome = ROLLED_BACK
        self.outcomes[name] = outcome
        self.sandbox.finish(name, state, outcome=outcome)

    def end(self, *, commit: bool, reason: str) -> None:
        """End the open transaction."""
        name, self.open = self.open, ""
        for member in self.members:
            if self.outcomes.get(member) == PENDING:
                good = self.sandbox.journal[member].operation.state == Operation.STATE_SUCCEEDED
                self.outcomes[member] = (COMMITTED if good else PARTIAL) if commit else ROLLED_BACK
                self.sandbox.journal[member].settled = self.outcomes[member]
        state = Transaction.STATE_COMMITTED if commit else Transaction.STATE_ROLLED_BACK
        self.sandbox.transaction(name, state, reason, operation_ids=self.members)

    def kept(self) -> list[str]:
        """Return the operations whose effects the session has, in order."""
        return [
            name for name, outcome in self.outcomes.items() if outcome in KEPT and name not in self.frozen
        ]

    def go_back(self, keep: int | None, *, rewound: bool) -> None:
        """Replace the interpreter: all state is lost with ``keep`` None, else all but the first ``keep`` effects."""
        kept = self.kept()
        gone = kept if keep is None else kept[keep:]
        for name in gone:
            self.outcomes[name] = ROLLED_BACK if rewound else LOST
            self.sandbox.journal[name].settled = self.outcomes[name]
        running = [
            name
            for name, record in self.sandbox.journal.items()
            if record.operation.state == Operation.STATE_RUNNING
        ]
        fields: dict[str, object] = {"state_lost": True}
        if keep is not None:
            fields = {"lost_operation_ids": gone, "rewound": rewound}
            if keep:
                fields["restored_operation_id"] = kept[keep - 1]
        self.sandbox.replace_interpreter("killed", running[0] if running else "", **fields)
        if self.open:
            self.end(commit=False, reason="the interpreter died (killed)")
        for name in running:
            self.outcomes[name] = ROLLED_BACK
            self.sandbox.finish(name, Operation.STATE_CRASHED, outcome=ROLLED_BACK)

    def reset(self) -> None:
        """Cancel everything and forget the state."""
        for name, record in list(self.sandbox.journal.items()):
            if not record.finished:
                began = record.operation.state == Operation.STATE_RUNNING
                self.outcomes[name] = ROLLED_BACK if began else NOT_STARTED
                self.sandbox.finish(name, Operation.STATE_CANCELLED, outcome=self.outcomes[name])
        if self.open:
            self.end(commit=False, reason="reset")
        while self.sandbox.held:
            wire, request = self.sandbox.held.pop(0)
            swept = runner_pb2.Reply(request_id=request.request_id)
            swept.failure.reason = "NO_SUCH_TRANSACTION"
            wire.send(reply=swept)
        self.frozen |= set(self.outcomes)


class TransactionalLife(Life):
    """One session that is used with transactions."""

    def __init__(self, made: World, seed: int) -> None:
        super().__init__(made, seed)
        self.truths: dict[str, Truth] = {}
        self.requests: dict[str, Submission] = {}
        self.last = ""
        """The sandbox that was alive when the session ended."""
        made.pool.prepare = self.prepare

    def prepare(self, sandbox: ScriptedSupervisor) -> None:
        """Have the ends of transactions, and resets, decided here."""
        self.truths[sandbox.sandbox_id] = Truth(sandbox)
        sandbox.holds |= {"begin_transaction", "end_transaction"}
        sandbox.answer = lambda request, reply: self.answer(sandbox, request, reply)

    def answer(
        self, sandbox: ScriptedSupervisor, request: runner_pb2.ToRunner, _reply: runner_pb2.Reply
    ) -> bool:
        """Do what a request asks for before it is answered."""
        if request.HasField("reset"):
            self.truths[sandbox.sandbox_id].reset()
        return True

    @property
    def truth(self) -> Truth | None:
        """That of the present sandbox, if it lives."""
        sandbox = self.sandbox
        return self.truths[sandbox.sandbox_id] if sandbox is not None and sandbox.alive else None

    def actions(self) -> list[tuple[Callable[[], Awaitable[None]], int]]:
        """Return what may happen, and how often."""
        return [*super().actions(), (self.begin, 4), (self.end, 6), (self.idle, 1), (self.unheard, 4)]

    def look(self) -> None:
        """No honest sandbox is ever taken for a liar."""
        super().look()
        assert "protocol" not in self.session.record.state_detail, self.story

    async def settle_down(self) -> None:
        """Hear all that the sandbox has to tell, if it lives."""
        truth, sandbox = self.truth, self.sandbox
        if truth is None and sandbox is not None:
            self.made.manager.sandbox_exited(self.session_id, sandbox.sandbox_id, "the engine says so")
        elif truth is not None:
            async with asyncio.timeout(10):
                while self.session.operations.link is None and truth.sandbox.alive:
                    self.made.clock.advance(1)
                    await asyncio.sleep(0)
            await settle(200)
            self.look()
            self.last = self.session.record.sandbox_id

    # What clients do.

    def request(self, name: str) -> Submission:
        """Return the request that an id stands for: always the same."""
        if name not in self.requests:
            fields: dict[str, object] = {}
            current = self.session.open_transaction_id
            if current and self.random.random() < 0.85:
                fields["transaction_id"] = current
            elif self.random.random() < 0.3:
                fields["tx_policy"] = EXPLICIT
            self.requests[name] = submission(self.session_id, name, **fields)
        return self.requests[name]

    async def begin(self) -> None:
        """Somebody begins a transaction, and may not wait for it."""
        task = asyncio.create_task(self._begin())
        self.others.append(task)
        await settle(self.random.choice((0, 2, 20)))
        if self.random.random() < 0.2:
            task.cancel()

    async def _begin(self) -> None:
        with contextlib.suppress(DomainError):
            await self.made.manager.begin_transaction(TENANT, self.session_id, 300.0, include_files=False)

    async def end(self) -> None:
        """Somebody ends the transaction that is open, or one that never was."""
        name = self.session.open_transaction_id or "tx-never"
        task = asyncio.create_task(self._end(name, commit=self.random.random() < 0.6))
        self.others.append(task)
        await settle(self.random.choice((0, 2, 20)))
        if self.random.random() < 0.2:
            task.cancel()

    async def _end(self, name: str, *, commit: bool) -> None:
        with contextlib.suppress(DomainError):
            ended = await self.made.manager.end_transaction(TENANT, self.session_id, name, commit=commit)
            wanted = Transaction.STATE_COMMITTED if commit else Transaction.STATE_ROLLED_BACK
            assert (ended.transaction_id, ended.state) == (name, wanted)

    # What the sandbox does.

    async def go_on(self) -> None:
        """What is first in its queue starts, writes or ends; then come beginnings and ends of transactions."""
        truth = self.truth
        if truth is None:
            return
        sandbox = truth.sandbox
        waiting = [name for name, record in sandbox.journal.items() if not record.finished]
        if waiting:
            name = waiting[0]
            if sandbox.journal[name].operation.state == Operation.STATE_PENDING:
                truth.start(name)
            elif self.random.random() < 0.3:
                sandbox.output(name, b"x")
            else:
                ends = [Operation.STATE_SUCCEEDED, Operation.STATE_FAILED]
                truth.finish(name, self.random.choice(ends + [Operation.STATE_TIMED_OUT] * bool(truth.open)))
        elif sandbox.held:
            self.arrange(truth, *sandbox.held.pop(0))

    def arrange(self, truth: Truth, wire, request: runner_pb2.ToRunner) -> None:
        """Begin or end a transaction, and answer."""
        reply = runner_pb2.Reply(request_id=request.request_id)
        if request.HasField("begin_transaction"):
            name = request.begin_transaction.transaction_id
            if truth.open:
                reply.failure.reason = "TRANSACTION_OPEN"
            elif self.random.random() < 0.2:
                reply.failure.reason = "THREADS_RUNNING"
            else:
                truth.open, truth.members = name, []
                truth.sandbox.transaction(name, Transaction.STATE_OPEN)
        elif request.end_transaction.transaction_id == truth.open:
            commit = request.end_transaction.commit
            truth.end(commit=commit, reason="commit" if commit else "rollback")
        else:
            ended = {
                told.transaction_id: told.state
                for told in (Transaction.FromString(each.transaction) for each in truth.sandbox.changes)
            }
            wanted = (
                Transaction.STATE_COMMITTED
                if request.end_transaction.commit
                else Transaction.STATE_ROLLED_BACK
            )
            if ended.get(request.end_transaction.transaction_id) != wanted:
                reply.failure.reason = "NO_SUCH_TRANSACTION"
        wire.send(reply=reply)

    async def idle(self) -> None:
        """The transaction that is open is idle for too long."""
        truth = self.truth
        if truth is not None and truth.open:
            running = {Operation.STATE_RUNNING}
            if not any(each.operation.state in running for each in truth.sandbox.journal.values()):
                truth.end(commit=False, reason="idle for too long")

    async def replace(self) -> None:
        """The interpreter dies; what can be woken may be old, or nothing."""
        truth = self.truth
        if truth is not None:
            keep = self.random.choice((None, self.random.randint(0, len(truth.kept()))))
            truth.go_back(keep, rewound=keep is not None and self.random.random() < 0.3)

    async def unheard(self) -> None:
        """Much happens while the link is broken; also while no control plane runs at all."""
        if self.truth is None:
            return
        await self.drop()
        for _ in range(self.random.randint(2, 8)):
            await self.random.choice((self.go_on, self.go_on, self.go_on, self.idle, self.replace))()
        if self.random.random() < 0.3:
            await self.restart()

    # What must hold.

    async def check(self) -> None:
        """Assert that each operation's outcome is what became of it."""
        await super().check()
        found, _ = await self.made.manager.list_operations(TENANT, self.session_id, None, 1000)
        said = {operation.operation_id: operation for operation in found}
        for sandbox_id, truth in self.truths.items():
            for name in truth.sandbox.journal:
                operation = said[name]
                allowed = self.allowed(truth, name, operation, died=sandbox_id != self.last)
                outcome = Outcome.Name(operation.outcome)
                assert operation.outcome in allowed, (name, outcome, allowed, self.story)

    def allowed(self, truth: Truth, name: str, operation: Operation, *, died: bool) -> set[int]:
        """Return what may be said of an operation."""
        outcome = truth.outcomes.get(name)
        if operation.error.type_name in ("SandboxLost", "Cancelled") or outcome is None:
            return {ROLLED_BACK, NOT_STARTED}  # nobody heard how it ended, and nothing is left of it
        if outcome == PENDING:
            return {ROLLED_BACK}
        if died and outcome != NOT_STARTED:
            # Perhaps nobody heard any more that it was lost or rolled back before, or that a reset had come first.
            return {LOST, ROLLED_BACK} | ({outcome} if name in truth.frozen else set())
        return {outcome}


@pytest.mark.parametrize("seed", range(60))
async def test_a_random_life_with_transactions(tmp_path: Path, seed: int) -> None:
    """Each outcome is the truth, whatever dies and whoever hears of it late; no honest sandbox is given up."""
    async with world(tmp_path) as made:
        async with asyncio.timeout(60):
            await TransactionalLife(made, seed).live()
        await until(lambda: made.manager.live_states() == [])
