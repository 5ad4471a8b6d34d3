"""What a catalog keeps, and what every catalog promises.

Every row and every look-up carries the tenant: another tenant's session is not there.
Nothing here is on the path of an operation; what operations did is in the operation log.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


class CatalogError(Exception):
    """The catalog cannot be used: corrupt, of a newer version, not to be opened. The text says what to do."""


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session as the catalog keeps it. Times are aware, in UTC, to the microsecond.

    - ``request_id``: empty when the client gave none; otherwise unique for the tenant, and
      ``request_digest`` says whether a repeated id is a repeated request.
    - ``state``, ``recovery_policy``, ``idle_action``: numbers of the public enums.
    - ``env``: what the interpreter was given, without secrets; of these only whether there were any.
    - ``last_recovery``: a serialized `sandbank.v1.Recovery`, or empty.
    - ``end_time``: None until it ended.
    - ``snapshots_disabled``, ``snapshot_history``, ``quiet_time``: its snapshot policy, also for its next sandbox.
    - ``checkpoint_policy``: a number of the public enum; ``latest_checkpoint_id``: empty until there is one.
    - ``recompute``: variables that cannot be saved may be made anew by running code again.
    """

    tenant: str
    session_id: str
    template: str
    state: int
    create_time: datetime
    last_active_time: datetime
    expire_time: datetime
    idle_timeout: timedelta
    max_lifetime: timedelta
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
    snapshots_disabled: bool = False
    snapshot_history: int = 0
    quiet_time: timedelta = timedelta(milliseconds=50)
    checkpoint_policy: int = 0
    latest_checkpoint_id: str = ""
    recompute: bool = False


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """A durable checkpoint as the catalog keeps it; its content is in its manifest, in the blob store.

    - ``request_id``: empty when the client gave none; otherwise unique for the tenant.
    - ``new_bytes``: what the tenant's store lacked before it.
    """

    tenant: str
    checkpoint_id: str
    session_id: str
    create_time: datetime
    wall_time: timedelta
    size_bytes: int
    new_bytes: int
    execution_count: int
    last_operation_id: str
    python_version: str
    parent_checkpoint_id: str = ""
    request_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    verified: bool = False
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class CheckpointKey:
    """A place in the list of checkpoints, for going on after it."""

    create_time: datetime
    checkpoint_id: str


@dataclass(frozen=True, slots=True)
class SessionKey:
    """A place in the list of sessions, for going on after it."""

    create_time: datetime
    session_id: str


class Catalog(ABC):
    """Keeps sessions and checkpoints. Every method may raise ``StoreUnavailableError``.

    What a finished put wrote is there after the process is killed. A put that is cancelled may or may not
    happen.
    """

    @abstractmethod
    async def start(self) -> None:
        """Open it, making or migrating the schema as needed. Raises :class:`CatalogError`."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what was begun, and let go. Idempotent."""

    @abstractmethod
    async def put_session(self, record: SessionRecord) -> None:
        """Write a session, new or known. RequestIdReusedError where another one of the tenant has its request id."""

    @abstractmethod
    async def get_session(self, tenant: str, session_id: str) -> SessionRecord | None:
        """Return a session in every state until it is purged, or None."""

    @abstractmethod
    async def get_session_by_request(self, tenant: str, request_id: str) -> SessionRecord | None:
        """Return the session that a request made, or None."""

    @abstractmethod
    async def list_sessions(
        self,
        tenant: str,
        *,
        limit: int,
        states: Collection[int] = (),
        labels: Mapping[str, str] | None = None,
        after: SessionKey | None = None,
    ) -> list[SessionRecord]:
        """Return up to ``limit`` sessions, newest first, that have all the labels.

        ``states``: only in one of these; empty means in every state but TERMINATED. ``after``: the last
        one of the page before; sessions made meanwhile neither shift nor repeat what follows.
        """

    @abstractmethod
    async def live_sessions(self) -> list[SessionRecord]:
        """Return every tenant's sessions that have not ended, oldest first: for a start."""

    @abstractmethod
    async def delete_session(self, tenant: str, session_id: str) -> None:
        """Forget a session at once. Idempotent."""

    @abstractmethod
    async def purge_sessions(self, ended_before: datetime) -> list[tuple[str, str]]:
        """Forget sessions that ended before a time; return the tenant and id of each."""

    @abstractmethod
    async def put_checkpoint(self, record: CheckpointRecord) -> None:
        """Write a checkpoint. RequestIdReusedError where another one of the tenant has its request id."""

    @abstractmethod
    async def get_checkpoint(self, tenant: str, checkpoint_id: str) -> CheckpointRecord | None:
        """Return a checkpoint, or None."""

    @abstractmethod
    async def get_checkpoint_by_request(self, tenant: str, request_id: str) -> CheckpointRecord | None:
        """Return the checkpoint that a request made, or None."""

    @abstractmethod
    async def list_checkpoints(
        self, tenant: str, session_id: str, *, limit: int, after: CheckpointKey | None = None
    ) -> list[CheckpointRecord]:
        """Return up to ``limit`` checkpoints of a session, newest first; of all sessions where the id is empty."""

    @abstractmethod
    async def delete_checkpoint(self, tenant: str, checkpoint_id: str) -> None:
        """Forget a checkpoint. Idempotent."""

    @abstractmethod
    async def checkpoint_tenants(self) -> list[str]:
        """Return the tenants that have checkpoints or had sessions: for collecting what nobody refers to."""
