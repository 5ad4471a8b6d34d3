"""Which state a read sees, and of which process it is a fork."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from sandbank_runner.supervisor import refusals
from sandbank_runner.supervisor.interpreter_process import Interpreter
from sandbank_runner.supervisor.interpreters import Interpreters
from sandbank_runner.supervisor.ledger import Ledger
from sandbank_runner.supervisor.reads import Seen
from sandbank_runner.supervisor.refusals import Refusal
from sandbank_runner.supervisor.reporting import Running
from sandbank_runner.supervisor.restore_points import Mark

_BUSY = Refusal("SESSION_BUSY", "an operation is running, and there is no snapshot from before it to read")


class VisibleStates:
    """Committed ones for everybody, those of a transaction for who names it; ``running`` is the dispatcher's."""

    def __init__(self, ledger: Ledger, interpreters: Interpreters, running: Mapping[str, Running]) -> None:
        self._ledger = ledger
        self._interpreters = interpreters
        self._running = running

    @property
    def generation(self) -> int:
        """Counts the interpreters that died: with one, readers may be swept away that did nothing wrong."""
        return self._interpreters.deaths

    def seen(self, transaction_id: str) -> Seen | Refusal | None:
        """Return what a read sees now; None where that is about to be there."""
        effects, opened = self._ledger.effects, self._ledger.transactions.open
        if transaction_id and (opened is None or opened.transaction_id != transaction_id):
            known = self._ledger.transactions.find(transaction_id)
            return refusals.no_such_transaction(transaction_id, None if known is None else known.committed)
        # No snapshot is taken while operations run, so the newest there can be is from before the first of them.
        limit = min(
            (running.record.operation.base for running in self._running.values()), default=effects.state
        )
        if opened is not None and not transaction_id:
            limit = min(limit, opened.base)
        point = next(iter(self._interpreters.snapshots.points.not_later(limit)), None)
        idle = not self._running and limit == effects.state
        if point is not None and (point.mark.state == limit or not idle):
            stale = bool(self._running) or point.mark.state != effects.state
            return Seen(point.sleeper, point.mark.operation_id, stale)
        live = self._interpreters.current
        if live is None or live.killed_for or (not idle and self._interpreters.snapshots.taking):
            return None
        if not idle:
            return _BUSY
        return Seen(live, effects.operation_id, stale=False)

    @property
    def live(self) -> Interpreter | None:
        """The live interpreter."""
        return self._interpreters.current

    def committed(self) -> tuple[Interpreter, Mark] | Refusal | None:
        """Return of whom a checkpoint is written now, and what it has; None where that is about to be there.

        The live interpreter where it has nothing to do: it counts changes from there on. Else the newest restore
        point that is from before all that runs and from before the open transaction.
        """
        live, opened = self.live, self._ledger.transactions.open
        snapshots = self._interpreters.snapshots
        if live is None or live.killed_for or snapshots.taking:
            return None
        if live.free and not self._running and opened is None:
            return live, self._ledger.mark
        point = next(iter(snapshots.points.not_later(self.committed_state)), None)
        return _BUSY if point is None else (point.sleeper, point.mark)

    @property
    def committed_state(self) -> int:
        """The state that everybody may see: before all that runs, and before the open transaction."""
        opened = self._ledger.transactions.open
        states = [running.record.operation.base for running in self._running.values()]
        return min([*states, self._ledger.effects.state if opened is None else opened.base])

    async def ready(self) -> None:
        """Wait until the interpreter has been replaced, or the snapshot been taken."""
        await self._interpreters.snapshots.settled()
        live = self._interpreters.current
        if live is not None and live.killed_for:
            await asyncio.shield(live.dead)
            await asyncio.sleep(0)  # until whoever else waits for this has taken note
        await self._interpreters.ready()
