"""The checkpoints of the SQL catalog."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, select, tuple_, union
from sqlalchemy.exc import IntegrityError

from sandbank_server.catalog.base import Catalog, CheckpointKey, CheckpointRecord
from sandbank_server.catalog.dialect import upsert
from sandbank_server.catalog.rows import checkpoint_record, checkpoint_row, to_microseconds
from sandbank_server.catalog.tables import checkpoints, sessions
from sandbank_server.errors import RequestIdReusedError

_c = checkpoints.c
PUT_CHECKPOINT: Final = upsert(checkpoints, ("tenant", "checkpoint_id"))
_GET = select(checkpoints).where(_c.tenant == bindparam("t"), _c.checkpoint_id == bindparam("i"))
_GET_BY_REQUEST = select(checkpoints).where(_c.tenant == bindparam("t"), _c.request_id == bindparam("r"))
_DROP = delete(checkpoints).where(_c.tenant == bindparam("t"), _c.checkpoint_id == bindparam("i"))


class SqlCheckpoints(Catalog):
    """The part of :class:`SqlCatalog` that keeps checkpoints; it runs its work where that says."""

    _put_checkpoint: Any

    async def _run(self, work: Any, *, durable: bool = False) -> Any:
        raise NotImplementedError

    async def put_checkpoint(self, record: CheckpointRecord) -> None:
        """See :class:`Catalog`."""
        row, put = checkpoint_row(record), self._put_checkpoint

        def work(connection: Connection) -> None:
            try:
                connection.execute(put, row)
            except IntegrityError:  # the only other key
                raise RequestIdReusedError(
                    f"request id {record.request_id} made another checkpoint", resource=record.request_id
                ) from None

        await self._run(work, durable=True)

    async def get_checkpoint(self, tenant: str, checkpoint_id: str) -> CheckpointRecord | None:
        """See :class:`Catalog`."""
        return await self._checkpoint(_GET, {"t": tenant, "i": checkpoint_id})

    async def get_checkpoint_by_request(self, tenant: str, request_id: str) -> CheckpointRecord | None:
        """See :class:`Catalog`."""
        return await self._checkpoint(_GET_BY_REQUEST, {"t": tenant, "r": request_id}) if request_id else None

    async def list_checkpoints(
        self, tenant: str, session_id: str, *, limit: int, after: CheckpointKey | None = None
    ) -> list[CheckpointRecord]:
        """See :class:`Catalog`."""
        query = select(checkpoints).where(_c.tenant == tenant)
        if session_id:
            query = query.where(_c.session_id == session_id)
        if after is not None:
            place = tuple_(to_microseconds(after.create_time), after.checkpoint_id)
            query = query.where(tuple_(_c.create_time, _c.checkpoint_id) < place)
        query = query.order_by(_c.create_time.desc(), _c.checkpoint_id.desc()).limit(limit)
        rows = await self._run(lambda connection: connection.execute(query).mappings().all())
        return [checkpoint_record(row) for row in rows]

    async def delete_checkpoint(self, tenant: str, checkpoint_id: str) -> None:
        """See :class:`Catalog`."""
        # Its content goes next: a row that came back would promise what is not there.
        await self._run(
            lambda connection: connection.execute(_DROP, {"t": tenant, "i": checkpoint_id}), durable=True
        )

    async def checkpoint_tenants(self) -> list[str]:
        """See :class:`Catalog`."""
        query = union(select(_c.tenant), select(sessions.c.tenant))
        return list(await self._run(lambda connection: connection.execute(query).scalars().all()))

    async def _checkpoint(self, query: Any, values: dict[str, str]) -> CheckpointRecord | None:
        row = await self._run(lambda connection: connection.execute(query, values).mappings().first())
        return None if row is None else checkpoint_record(row)
