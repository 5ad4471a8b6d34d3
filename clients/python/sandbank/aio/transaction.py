"""An explicit transaction over several operations."""

from __future__ import annotations

import contextlib
from typing import Self

from sandbank import calls
from sandbank.aio.scope import AsyncScope
from sandbank.aio.transport import Transport
from sandbank.errors import NotFound, SandbankError
from sandbank.facade import TransactionBase
from sandbank.v1 import transaction_pb2


class AsyncTransaction(TransactionBase, AsyncScope):
    """An open transaction: what is run through it is committed or rolled back as one.

    As a context manager it commits at the end of the block, and rolls back where the block raises: so also where
    code fails, unless it is run with `check=False`; what that did before it failed then stays, as in a notebook.
    A member with `on_failure="rollback"` is a savepoint: its own failure undoes it alone. Transactions do not
    nest, and until the end operations of the session that do not go through it are refused (TransactionOpen).

    One that was attached to is left as it is at the end of the block.
    """

    def __init__(self, transport: Transport, info: transaction_pb2.Transaction, *, owned: bool) -> None:
        super().__init__(info, transport.connection.retry, owned=owned)
        self._transport = transport

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self.ended or not self._owned:
            return
        if error is None:
            await self.commit()
        else:
            await self._abandon(error)

    async def commit(self) -> transaction_pb2.Transaction:
        """Make its effects part of the session's state. Raises NoSuchTransaction where it was rolled back."""
        self.info = await self._transport.call(calls.commit_transaction(self.session_id, self.transaction_id))
        return self.info

    async def rollback(self) -> transaction_pb2.Transaction:
        """Take the session back to the state before it. Raises NoSuchTransaction where it was committed."""
        self.info = await self._transport.call(
            calls.rollback_transaction(self.session_id, self.transaction_id)
        )
        return self.info

    async def _abandon(self, error: BaseException) -> None:
        """Roll back because of an error, which matters more than one of rolling back."""
        try:
            # A rollback waits for the member that is running, and its effects are not wanted any more.
            for operation_id in self._running():
                with contextlib.suppress(NotFound):
                    await self._transport.call(calls.cancel_operation(self.session_id, operation_id))
            await self.rollback()
        except SandbankError as failure:
            error.add_note(f"rolling the transaction back failed: {failure}")
