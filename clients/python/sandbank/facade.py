"""What the sync and the async objects have in common: how they are made and described, not how they wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from sandbank import requests
from sandbank.connection import Connection
from sandbank.follow import Follower
from sandbank.results import Callbacks, ResultFold
from sandbank.retrying import RetryPolicy
from sandbank.v1 import checkpoint_pb2, execution_pb2, session_pb2, transaction_pb2


class ClientBase:
    """Where a client's connection is made from its arguments."""

    def __init__(self, address: str | None = None, **options: Any) -> None:
        self.connection = Connection(address or "", **options)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.connection.address!r})"


Prepare: TypeAlias = Callable[[str, requests.ExecuteOptions], tuple[Follower, execution_pb2.ExecuteRequest]]


@dataclass
class Sent:
    """An operation that was sent in one call, and whether its end is known."""

    operation_id: str
    finished: bool = False


class ScopeBase:
    """Where code runs: a session, or one transaction of it."""

    def __init__(self, session_id: str, policy: RetryPolicy, transaction_id: str = "") -> None:
        self._session_id = session_id
        self._policy = policy
        self._transaction_id = transaction_id

    @property
    def session_id(self) -> str:
        """The session's id."""
        return self._session_id

    def _request(self, code: str, options: requests.ExecuteOptions) -> execution_pb2.ExecuteRequest:
        if self._transaction_id:
            options = {"transaction_id": self._transaction_id, **options}
        return requests.execute(self.session_id, code, options)

    def _prepare(
        self, code: str, options: requests.ExecuteOptions
    ) -> tuple[Follower, execution_pb2.ExecuteRequest]:
        """Return the request that runs code, and what follows the operation."""
        request = self._request(code, options)
        follower = Follower(
            self.session_id, request.operation_id, self._policy, time.monotonic, execute=request
        )
        self._track(follower)
        return follower, request

    def _track(self, sent: Sent | Follower) -> None:
        """Take note of an operation that is about to be sent."""


class SessionBase(ScopeBase):
    """A session's identity and the last that is known of it.

    `info` is the session as the server last described it. `restored` is what came back of the checkpoint that it
    was made of or restored from here, and what did not; None where it was neither.
    """

    def __init__(
        self,
        info: session_pb2.Session,
        policy: RetryPolicy,
        *,
        owned: bool,
        restored: checkpoint_pb2.RestoreReport | None = None,
    ) -> None:
        super().__init__(info.session_id, policy)
        self.info = info
        self.restored = restored
        self._owned = owned

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session_id!r})"

    def _watch(self, operation_id: str, after_sequence: int) -> Follower:
        return Follower(
            self.session_id, operation_id, self._policy, time.monotonic, after_sequence=after_sequence
        )


class TransactionBase(ScopeBase):
    """A transaction's identity, the last that is known of it, and what of it may be running.

    `info` is the transaction as the server last described it.
    """

    def __init__(self, info: transaction_pb2.Transaction, policy: RetryPolicy, *, owned: bool) -> None:
        super().__init__(info.session_id, policy, info.transaction_id)
        self.info = info
        self._owned = owned
        self._sent: list[Sent | Follower] = []

    @property
    def transaction_id(self) -> str:
        """The transaction's id."""
        return self._transaction_id

    @property
    def state(self) -> str:
        """Its state without its prefix, as far as is known here: `OPEN`, `COMMITTED`, `ROLLED_BACK`."""
        return transaction_pb2.Transaction.State.Name(self.info.state).removeprefix("STATE_")

    @property
    def ended(self) -> bool:
        """Whether it was committed or rolled back here."""
        return self.info.state != transaction_pb2.Transaction.STATE_OPEN

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session_id!r}, {self.transaction_id!r}, {self.state})"

    def _track(self, sent: Sent | Follower) -> None:
        self._sent = [*(known for known in self._sent if not known.finished), sent]

    def _running(self) -> list[str]:
        """Return the ids of members sent from here whose end is not known, newest first."""
        return [sent.operation_id for sent in reversed(self._sent) if not sent.finished]


def joined(session_id: str, transaction_id: str) -> transaction_pb2.Transaction:
    """Return a transaction that is known by its id only, and taken to be open."""
    if not transaction_id:
        raise ValueError("no transaction was named")
    return transaction_pb2.Transaction(
        session_id=session_id,
        transaction_id=transaction_id,
        state=transaction_pb2.Transaction.STATE_OPEN,
    )


class ExecutionBase:
    """An operation's identity, and how far its events have been seen."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._fold = ResultFold()

    @property
    def session_id(self) -> str:
        """The session that it runs in."""
        return self._follower.session_id

    @property
    def operation_id(self) -> str:
        """The operation's id."""
        return self._follower.operation_id

    @property
    def last_sequence(self) -> int:
        """The last event seen: where another watcher would go on."""
        return self._follower.last_sequence

    def tell(self, callbacks: Callbacks) -> None:
        """Have these called as its events are read."""
        self._fold.callbacks = callbacks

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session_id!r}, {self.operation_id!r})"
