"""What the sync and the async objects have in common: how they are made and described, not how they wait."""

from __future__ import annotations

import time
from typing import Any

from sandbank import requests
from sandbank.connection import Connection
from sandbank.follow import Follower
from sandbank.results import ResultFold
from sandbank.retrying import RetryPolicy
from sandbank.v1 import session_pb2


class ClientBase:
    """Where a client's connection is made from its arguments."""

    def __init__(self, address: str | None = None, **options: Any) -> None:
        self.connection = Connection(address or "", **options)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.connection.address!r})"


class SessionBase:
    """A session's identity and the last that is known of it.

    `info` is the session as the server last described it.
    """

    def __init__(self, info: session_pb2.Session, policy: RetryPolicy, *, owned: bool) -> None:
        self.info = info
        self._policy = policy
        self._owned = owned

    @property
    def session_id(self) -> str:
        """The session's id."""
        return self.info.session_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session_id!r})"

    def _execute(self, code: str, options: requests.ExecuteOptions) -> Follower:
        request = requests.execute(self.session_id, code, options)
        return Follower(self.session_id, request.operation_id, self._policy, time.monotonic, execute=request)

    def _watch(self, operation_id: str, after_sequence: int) -> Follower:
        return Follower(
            self.session_id, operation_id, self._policy, time.monotonic, after_sequence=after_sequence
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

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.session_id!r}, {self.operation_id!r})"
