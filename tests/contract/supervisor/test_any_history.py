"""Whatever happens in whatever order: every operation ends, and its outcome is what the session's state shows."""

from __future__ import annotations

import os
import random
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sandbank.v1.execution_pb2 import Operation
from sandbank.v1.transaction_pb2 import (
    TX_POLICY_COMMIT_ON_SUCCESS,
    TX_POLICY_EXPLICIT,
    TX_POLICY_NONE,
    TX_POLICY_ROLLBACK_ON_FAILURE,
    Transaction,
)
from sandbank_runner.v1 import runner_pb2 as pb

from tests.contract.supervisor.conftest import Start
from tests.fakes.control_plane import Connection, Running, seconds

APPEND = "globals().setdefault('x', []).append('{name}')\n"
CODES = [
    ("", 12),
    ("1 / 0", 5),
    ("import os; os._exit(3)", 3),
    ("import os; os.kill(os.getpid(), 9)", 1),
    ("while True: pass", 2),
    ("import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass", 1),
]
SEEDS = 12
STAYS = {Operation.OUTCOME_COMMITTED, Operation.OUTCOME_PARTIAL}
SETTLED = STAYS | {Operation.OUTCOME_ROLLED_BACK, Operation.OUTCOME_NOT_STARTED, Operation.OUTCOME_LOST}


@dataclass
class History:
    """Steps that come faster than they are done."""

    sandbox: Running
    session: Connection
    random: random.Random
    submitted: list[str] = field(default_factory=list)
    """Since the last reset."""
    asked: list[int] = field(default_factory=list)
    operations: int = 0
    transactions: int = 0

    def ask(self, **message: Any) -> None:
        """Ask without waiting."""
        self.asked.append(1000 + len(self.asked))
        self.session.send(self.asked[-1], **message)

    async def answered(self) -> None:
        """Wait for every reply and the end of every operation."""
        seen = {message.reply.request_id for message in self.session.told}
        while not seen.issuperset(self.asked):
            seen.add((await self.session.take()).reply.request_id)
        for name in self.submitted:
            await self.session.finished(name)

    def operation(self) -> None:
        """An operation of any policy, a member of what may or may not be open, or its begin."""
        self.operations += 1
        name = f"o{self.operations}"
        code = self.random.choices([code for code, _ in CODES], [weight for _, weight in CODES])[0]
        policy = self.random.choice(
            [
                TX_POLICY_NONE,
                TX_POLICY_NONE,
                TX_POLICY_COMMIT_ON_SUCCESS,
                TX_POLICY_ROLLBACK_ON_FAILURE,
                TX_POLICY_EXPLICIT,
            ]
        )
        more: dict[str, Any] = {"tx_policy": policy}
        if policy == TX_POLICY_EXPLICIT and self.random.random() < 0.5:
            self.transactions += 1
            more["begin"] = self._begin()
        if policy == TX_POLICY_EXPLICIT or self.random.random() < 0.5:
            more["transaction_id"] = f"t{self.transactions}"
        self.submitted.append(name)
        self.session.submit(name, APPEND.format(name=name) + code, timeout=0.15, **more)

    def step(self) -> None:
        """Anything."""
        choice = self.random.random()
        if choice < 0.66:
            self.operation()
        elif choice < 0.72:
            self.transactions += 1
            self.ask(begin_transaction=self._begin())
        elif choice < 0.84:
            end = pb.EndTransaction(transaction_id=f"t{self.transactions}", commit=self.random.random() < 0.5)
            self.ask(end_transaction=end)
        elif choice < 0.90 and self.submitted:
            self.session.send(cancel=pb.Cancel(operation_id=self.random.choice(self.submitted)))
        elif choice < 0.95 and self.submitted:
            self.ask(rewind=pb.Rewind(operation_id=self.random.choice(self.submitted[-6:])))
        elif choice < 0.98:
            self.kill_any()

    def kill_any(self) -> None:
        """Kill the live interpreter or a snapshot, whichever it is."""
        pid = self.sandbox.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        named = [each for each in children if _name(each) == "interpreter"]
        if named:
            os.kill(int(self.random.choice(named)), signal.SIGKILL)

    def _begin(self) -> pb.BeginTransaction:
        return pb.BeginTransaction(
            transaction_id=f"t{self.transactions}", idle_timeout=seconds(self.random.choice([0.02, 60]))
        )


def _name(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


async def check(history: History) -> None:
    """Compare what the session has with what is told of it, now and to whoever connects anew."""
    session = history.session
    await history.answered()
    for change in reversed(session.all_told("transaction_changed")):
        last = Transaction.FromString(change.transaction)
        if last.state == Transaction.STATE_OPEN:
            commit = history.random.random() < 0.5
            await session.ask(
                end_transaction=pb.EndTransaction(transaction_id=last.transaction_id, commit=commit)
            )
        break
    look = Operation()
    while look.state != Operation.STATE_SUCCEEDED:  # the interpreter may have been killed in this moment
        history.operations += 1
        look = await session.run(f"look{history.operations}", "globals().get('x', [])")
    has = eval(look.result["text/plain"].decode())
    hello = (await history.sandbox.connect(greet=False)).hello
    outcomes = {each.operation_id: each.outcome for each in hello.operations}
    ends = {name: await session.finished(name) for name in history.submitted}
    story = [(name, Operation.Outcome.Name(outcomes[name]), ends[name].error.type_name) for name in ends]
    assert all(outcomes[name] in SETTLED for name in ends), story
    # One that was stopped may have been stopped before it had done anything.
    vague = {
        name
        for name, end in ends.items()
        if outcomes[name] == Operation.OUTCOME_PARTIAL and end.error.type_name == "KeyboardInterrupt"
    }
    expected = [name for name in ends if outcomes[name] in STAYS and name not in vague]
    assert [name for name in has if name not in vague] == expected, story
    assert set(has) <= {*expected, *vague}, story


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_outcomes_are_what_the_state_shows(start: Start, seed: int):
    """Operations of all policies, transactions, cancels, rewinds, deaths of interpreters and snapshots, resets."""
    chance = random.Random(seed)
    async with start() as sandbox:
        session = await sandbox.session(
            interrupt_grace=seconds(0.05),
            quiet_time=seconds(chance.choice([0.001, 0.01, 0.05])),
            snapshot_history=chance.choice([0, 0, 3]),
            queue_limit=1000,
        )
        history = History(sandbox, session, chance)
        for _ in range(6):
            for _ in range(chance.randrange(1, 16)):
                history.step()
                if chance.random() < 0.3 and history.submitted:
                    await session.until(chance.choice(history.submitted[-3:]), "finished")
            await check(history)
            if chance.random() < 0.2:
                await session.ask(reset=pb.Reset())
                history.submitted.clear()
