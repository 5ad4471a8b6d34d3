"""The catalog in an SQL database."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, cast

import structlog
from sandbank.v1 import session_pb2
from sqlalchemy import Connection, Select, bindparam, delete, exists, insert, select, tuple_
from sqlalchemy.exc import IntegrityError

from sandbank_server.catalog.base import CatalogError, SessionKey, SessionRecord
from sandbank_server.catalog.checkpoints import PUT_CHECKPOINT, SqlCheckpoints
from sandbank_server.catalog.dialect import DATABASE_ERRORS, explain, open_engine, upsert
from sandbank_server.catalog.migrate import migrate
from sandbank_server.catalog.rows import label_rows, session_record, session_row, to_microseconds
from sandbank_server.catalog.tables import session_labels, sessions
from sandbank_server.catalog.writer import DatabaseThread
from sandbank_server.errors import RequestIdReusedError, StoreUnavailableError

_log = structlog.get_logger("sandbank.catalog")
_TERMINATED = int(session_pb2.Session.STATE_TERMINATED)
_PURGE_LIMIT = 500
_s, _l = sessions.c, session_labels.c

# Built once: building a statement costs more than running it.
_PUT = upsert(sessions, ("tenant", "session_id"))
_PUT_LABEL = insert(session_labels)
_LABELS = select(_s.labels).where(_s.tenant == bindparam("t"), _s.session_id == bindparam("i"))
_DROP_LABELS = delete(session_labels).where(_l.tenant == bindparam("t"), _l.session_id == bindparam("i"))
_DROP = delete(sessions).where(_s.tenant == bindparam("t"), _s.session_id == bindparam("i"))
_GET = select(sessions).where(_s.tenant == bindparam("t"), _s.session_id == bindparam("i"))
_GET_BY_REQUEST = select(sessions).where(_s.tenant == bindparam("t"), _s.request_id == bindparam("r"))


def outlives_power(record: SessionRecord) -> bool:
    """Whether a session has something that a power cut leaves, or is promised that: its row is synced, then."""
    return bool(record.latest_checkpoint_id) or (
        record.checkpoint_policy == session_pb2.CHECKPOINT_POLICY_SYNCHRONOUS
    )


class SqlCatalog(SqlCheckpoints):
    """A catalog by URL: ``sqlite:///PATH`` or ``postgresql://…``."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._database: DatabaseThread | None = None
        self._put: Any = None
        self._put_checkpoint: Any = None

    async def start(self) -> None:
        """See :class:`Catalog`."""
        engine = open_engine(self._url)
        self._put = _PUT(engine.dialect.name)
        self._put_checkpoint = PUT_CHECKPOINT(engine.dialect.name)
        database = DatabaseThread(engine)
        database.start()
        try:
            await database.run(migrate)
        except BaseException as error:
            await database.close()
            if isinstance(error, DATABASE_ERRORS):
                raise CatalogError(explain(error)) from error
            raise
        self._database = database

    async def close(self) -> None:
        """See :class:`Catalog`."""
        if self._database is not None:
            await self._database.close()

    async def put_session(self, record: SessionRecord) -> None:
        """See :class:`Catalog`."""
        row, put = session_row(record), self._put

        def work(connection: Connection) -> None:
            key = {"t": record.tenant, "i": record.session_id}
            labels = connection.execute(_LABELS, key).scalar()
            try:
                connection.execute(put, row)
            except IntegrityError:
                # The only other key of a session: the database says no more in a way that all of them
                # share.
                raise RequestIdReusedError(
                    f"request id {record.request_id} made another session", resource=record.request_id
                ) from None
            if labels == row["labels"]:
                return
            if labels is not None:
                connection.execute(_DROP_LABELS, key)
            if record.labels:
                connection.execute(_PUT_LABEL, label_rows(record))

        await self._run(work, durable=outlives_power(record))

    async def get_session(self, tenant: str, session_id: str) -> SessionRecord | None:
        """See :class:`Catalog`."""
        return await self._one(_GET, {"t": tenant, "i": session_id})

    async def get_session_by_request(self, tenant: str, request_id: str) -> SessionRecord | None:
        """See :class:`Catalog`."""
        return await self._one(_GET_BY_REQUEST, {"t": tenant, "r": request_id}) if request_id else None

    async def list_sessions(
        self,
        tenant: str,
        *,
        limit: int,
        states: Collection[int] = (),
        labels: Mapping[str, str] | None = None,
        after: SessionKey | None = None,
    ) -> list[SessionRecord]:
        """See :class:`Catalog`."""
        query = select(sessions).where(_s.tenant == tenant)
        query = query.where(_s.state.in_(states) if states else _s.state != _TERMINATED)
        for key, value in (labels or {}).items():
            same = (_l.tenant == _s.tenant, _l.session_id == _s.session_id, _l.key == key, _l.value == value)
            query = query.where(exists().where(*same))
        if after is not None:
            place = tuple_(to_microseconds(after.create_time), after.session_id)
            query = query.where(tuple_(_s.create_time, _s.session_id) < place)
        return await self._many(query.order_by(_s.create_time.desc(), _s.session_id.desc()).limit(limit))

    async def live_sessions(self) -> list[SessionRecord]:
        """See :class:`Catalog`."""
        return await self._many(select(sessions).where(_s.state != _TERMINATED).order_by(_s.create_time))

    async def delete_session(self, tenant: str, session_id: str) -> None:
        """See :class:`Catalog`."""
        await self._run(lambda connection: _drop(connection, [(tenant, session_id)]))

    async def purge_sessions(self, ended_before: datetime) -> list[tuple[str, str]]:
        """See :class:`Catalog`."""
        query = (
            select(_s.tenant, _s.session_id)
            .where(_s.end_time < to_microseconds(ended_before))
            .limit(_PURGE_LIMIT)
        )
        purged: list[tuple[str, str]] = []

        def work(connection: Connection) -> list[tuple[str, str]]:
            keys = [(tenant, session_id) for tenant, session_id in connection.execute(query)]
            _drop(connection, keys)
            return keys

        # A part at a time, so that others get their turn.
        while part := cast("list[tuple[str, str]]", await self._run(work)):
            purged += part
        return purged

    async def _one(self, query: Select[Any], values: dict[str, str]) -> SessionRecord | None:
        row = await self._run(lambda connection: connection.execute(query, values).mappings().first())
        return None if row is None else session_record(row)

    async def _many(self, query: Select[Any]) -> list[SessionRecord]:
        rows = await self._run(lambda connection: connection.execute(query).mappings().all())
        return [session_record(row) for row in rows]

    async def _run(self, work: Any, *, durable: bool = False) -> Any:
        assert self._database is not None, "start() it first"
        try:
            return await self._database.run(work, durable=durable)
        except DATABASE_ERRORS as error:
            _log.exception("the catalog failed")
            raise StoreUnavailableError("the catalog cannot be reached") from error


def _drop(connection: Connection, keys: list[tuple[str, str]]) -> None:
    if keys:
        values = [{"t": tenant, "i": session_id} for tenant, session_id in keys]
        connection.execute(_DROP_LABELS, values)
        connection.execute(_DROP, values)
