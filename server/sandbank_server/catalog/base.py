"""The metadata that outlives a control plane, and the seam behind which it is stored.

Every row and every lookup carries the tenant. Times are aware and in UTC, kept to the microsecond.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session as it is stored. Enum fields hold the numbers of ``sandbank.v1``.

    - ``request_id``, ``request_digest``: of the CreateSession that made it; empty when the client gave none.
    - ``expire_time``: when its lifetime ends; ``end_time``: when it ended, None while it has not.
    - ``env``: the environment given with it; ``has_secret_env`` only remembers that there was a secret one.
    - ``last_recovery``: a serialized ``sandbank.v1.Recovery``, empty when there was none.
    - ``event_sequence``: a number that no event of WatchSession had yet, when the row was written.
    """

    tenant: str
    session_id: str
    template: str
    state: int
    create_time: datetime
    last_active_time: datetime
    idle_timeout: timedelta
    max_lifetime: timedelta
    expire_time: datetime
    request_id: str = ""
    request_digest: str = ""
    state_detail: str = ""
    sandbox_id: str = ""
    generation: int = 1
    labels: Mapping[str, str] = field(default_factory=dict)
    end_time: datetime | None = None
    recovery_policy: int = 0
    idle_action: int = 0
    execution_count: int = 0
    env: Mapping[str, str] = field(default_factory=dict)
    has_secret_env: bool = False
    python_version: str = ""
    last_recovery: bytes = b""
    event_sequence: int = 0


class Catalog(ABC):
    """Stores the sessions. Every method raises ``StoreUnavailableError`` when the store cannot be reached."""

    @abstractmethod
    async def open(self) -> None:
        """Connect, and bring the schema up to date. ``CatalogError`` for a corrupt store or a newer schema."""

    @abstractmethod
    async def close(self) -> None:
        """Write what is pending and let go."""

    @abstractmethod
    async def put_session(self, record: SessionRecord) -> None:
        """Insert or replace the row; returns once a killed process cannot lose it. Puts of one session keep order."""

    @abstractmethod
    async def get_session(self, tenant: str, session_id: str) -> SessionRecord | None:
        """Return a row, None when the tenant has no such session."""

    @abstractmethod
    async def get_session_by_request(self, tenant: str, request_id: str) -> SessionRecord | None:
        """Return the session that a request made, None when it made none."""

    @abstractmethod
    async def list_sessions(
        self,
        tenant: str,
        *,
        states: Collection[int] = (),
        labels: Mapping[str, str] | None = None,
        after: str = "",
        limit: int = 100,
    ) -> list[SessionRecord]:
        """Return up to ``limit`` rows with an id greater than ``after``, by id; no ``states`` means all of them."""

    @abstractmethod
    async def live_sessions(self) -> list[SessionRecord]:
        """Return the rows of every tenant that have not ended."""

    @abstractmethod
    async def purge_sessions(self, ended_before: datetime) -> list[tuple[str, str]]:
        """Delete the rows that ended before, and return (tenant, session id) of each."""
