"""The record of one session: changed in memory at once, written to the catalog when it matters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

import structlog
from sandbank.v1 import session_pb2

from sandbank_server.catalog.base import Catalog, SessionRecord
from sandbank_server.errors import StoreUnavailableError
from sandbank_server.sessions.life.events import SessionEvents
from sandbank_server.sessions.life.states import check_transition
from sandbank_server.sessions.views import session_message

_State = session_pb2.Session
_log = structlog.get_logger("sandbank.session")

_SHOWN = frozenset({"state", "sandbox_id", "labels", "idle_timeout", "expire_time", "latest_checkpoint_id"})
"""Fields whose change watchers are told of."""


class RecordKeeper:
    """Keeps the record. ``dirty`` while the catalog does not have it as it is."""

    def __init__(
        self,
        record: SessionRecord,
        catalog: Catalog,
        events: SessionEvents,
        open_transaction_id: Callable[[], str],
    ) -> None:
        self._record = record
        self._catalog = catalog
        self._events = events
        self._open_transaction_id = open_transaction_id
        self._last_active: datetime | None = None
        self._execution_count = record.execution_count
        self._saved_ahead: dict[str, object] = {}
        """Fields that the catalog has, or may have, and that are not so yet."""
        self._withheld: dict[str, object] = {}
        """Fields as the catalog is to go on having them."""
        self.dirty = False

    @property
    def record(self) -> SessionRecord:
        """The record as it is now. What each use changes is kept beside it until somebody looks."""
        if self._last_active is not None:
            self._record = replace(
                self._record, last_active_time=self._last_active, execution_count=self._execution_count
            )
            self._last_active = None
        return self._record

    @property
    def state(self) -> int:
        """The session's state."""
        return self._record.state

    @property
    def tenant(self) -> str:
        """Whose session it is."""
        return self._record.tenant

    @property
    def execution_count(self) -> int:
        """The session's execution count as it is now."""
        return self._execution_count

    def view(self) -> session_pb2.Session:
        """Return the session as clients see it."""
        return session_message(self.record, self._open_transaction_id())

    def announce(self) -> None:
        """Tell watchers that something has changed which is not in the record."""
        self._events.publish(session_changed=self.view())

    def used(self, now: datetime, execution_count: int | None = None) -> None:
        """Count as use; an operation that ran brings the new count along.

        No write and no event here: this is the path of every operation. The next tick saves it.
        """
        if execution_count is not None:
            self._execution_count = execution_count
        self._last_active = now
        self.dirty = True

    def change(self, **fields: object) -> None:
        """Change fields of the record and tell watchers where it shows."""
        before = self.record
        after = replace(before, **fields)  # type: ignore[arg-type]
        check_transition(before.state, after.state)
        self._record = after
        self._execution_count = after.execution_count
        self.dirty = True
        if after.state != before.state:
            _log.info("session state", state=_State.State.Name(after.state), **self.names())
        if not _SHOWN.isdisjoint(fields):
            self.announce()

    async def save(self) -> None:
        """Write the record. StoreUnavailableError when that fails; it stays dirty then."""
        self.dirty = False
        try:
            await self._put({**self._withheld, **self._saved_ahead})
        except BaseException:  # also where nobody waits any more: it may still fail
            self.dirty = True
            raise

    @property
    def withheld(self) -> Mapping[str, object]:
        """Fields that are others in the catalog, on purpose, and these."""
        return self._withheld

    def withhold(self, **fields: object) -> None:
        """Keep fields in the catalog as they are, until :meth:`catch_up`."""
        self._withheld = {**fields, **self._withheld}

    def catch_up(self) -> None:
        """Withhold nothing from the next save on."""
        self._withheld = {}

    async def save_with(self, **fields: object) -> None:
        """Write the record as it will be with these fields, before it is changed so. StoreUnavailableError.

        Whoever saves meanwhile saves them, too. Either :meth:`change_as_saved` or :meth:`stay` comes next.
        """
        self._saved_ahead = fields
        await self._put(fields)

    def change_as_saved(self) -> None:
        """The record is now what :meth:`save_with` wrote."""
        fields, self._saved_ahead = self._saved_ahead, {}
        self._withheld = {}
        self.change(**fields)

    def stay(self) -> None:
        """The record stays as it is: the next tick writes it, since nobody knows what the catalog has."""
        self._saved_ahead = {}
        self.dirty = True

    async def _put(self, fields: dict[str, object]) -> None:
        record = replace(self.record, event_sequence=self._events.sequence, **fields)  # type: ignore[arg-type]
        await self._catalog.put_session(record)

    async def save_if_possible(self) -> None:
        """Write the record; when that fails the next tick tries again."""
        try:
            await self.save()
        except StoreUnavailableError:
            _log.warning("a session could not be saved; it is tried again", **self.names())

    def names(self) -> dict[str, str]:
        """Return what log lines about this session carry."""
        record = self._record
        return {"tenant": record.tenant, "session_id": record.session_id, "sandbox_id": record.sandbox_id}
