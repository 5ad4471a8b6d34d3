"""Going back to the state right after an earlier operation because somebody wants that."""

from __future__ import annotations

import asyncio

from sandbank_runner.supervisor import refusals
from sandbank_runner.supervisor.going_back import GoingBack
from sandbank_runner.supervisor.interpreters import Interpreters
from sandbank_runner.supervisor.ledger import Ledger
from sandbank_runner.supervisor.operations import Operation
from sandbank_runner.supervisor.refusals import Refusal
from sandbank_runner.supervisor.restore_points import WayBack
from sandbank_runner.supervisor.ways_back import Errand

REWIND = "rewind"
"""``killed_for`` of an interpreter that is killed to rewind."""


class Rewinding:
    """Expects that nothing begins meanwhile."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interpreters: Interpreters,
        ledger: Ledger,
        going_back: GoingBack,
    ) -> None:
        self._loop = loop
        self._interpreters = interpreters
        self._ledger = ledger
        self._going_back = going_back

    def refuses(self, operation: Operation) -> Refusal | None:
        """Say why there is no way to the state right after an operation."""
        snapshots = self._interpreters.snapshots
        if snapshots.settings.disabled:
            return refusals.SNAPSHOTS_DISABLED
        state = operation.state_after
        opened = self._ledger.transactions.open
        if (
            not operation.finished
            or state is None
            # Half of a transaction is no state of the session.
            or (opened is not None and state > opened.base)
            or (state != self._ledger.effects.state and not snapshots.has_way_to(state))
        ):
            return refusals.snapshot_gone(operation.operation_id)
        return None

    async def rewind(self, operation: Operation) -> Refusal | None:
        """Go there once the interpreter is not on its way back already; return why that could not be."""
        interpreter = await self._interpreters.ready()
        await self._interpreters.snapshots.settled()
        while interpreter is not self._interpreters.current or interpreter.killed_for:
            await asyncio.shield(interpreter.dead)
            await asyncio.sleep(0)
            interpreter = await self._interpreters.ready()
        refusal = self.refuses(operation)  # it may have gone meanwhile
        state = operation.state_after
        if refusal is not None or state is None:
            return refusal
        if interpreter.free and state == self._ledger.effects.state:
            if self._ledger.transactions.open is not None:
                self._ledger.end_transaction(committed=False, reason=REWIND)
            return None
        done: asyncio.Future[bool] = self._loop.create_future()
        errand = Errand(WayBack(limit=state, exact=state), REWIND, done.set_result, rewinds=True)
        self._going_back.go(interpreter, errand, REWIND)
        return None if await done else refusals.snapshot_gone(operation.operation_id)
