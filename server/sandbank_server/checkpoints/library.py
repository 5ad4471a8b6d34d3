"""All checkpoints of the installation: their manifests and chunks in the blob store, their rows in the catalog.

A checkpoint is durable when its row is: chunks first, then the manifest, then the row, each synced before the next. A
crash in between leaves blobs that no row refers to, and :meth:`CheckpointLibrary.collect` removes those.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass

from sandbank_server.blobs.base import BlobNotFoundError, BlobStore, BlobStoreError
from sandbank_server.catalog.base import Catalog, CheckpointKey, CheckpointRecord
from sandbank_server.checkpoints.chunks import ChunkStore
from sandbank_server.checkpoints.manifest import Manifest
from sandbank_server.clock import Clock
from sandbank_server.errors import CheckpointCorruptError, CheckpointNotFoundError, StoreUnavailableError

GRACE_SECONDS = 3600.0
"""How old a blob must be to be collected: those of a checkpoint that is being written have no row yet."""

_PAGE = 500
_DELETE_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection removed."""

    manifests: int = 0
    chunks: int = 0
    freed_bytes: int = 0


class CheckpointLibrary:
    """Keeps and finds checkpoints. Every method raises :class:`StoreUnavailableError`."""

    def __init__(self, blobs: BlobStore, catalog: Catalog, clock: Clock) -> None:
        self.chunks = ChunkStore(blobs)
        self._blobs = blobs
        self._catalog = catalog
        self._clock = clock
        self._collecting = asyncio.Lock()
        self._rows = asyncio.Lock()
        """Held where a row is looked for and then written or deleted: one that was deleted does not come back."""
        self._going: set[tuple[str, str]] = set()
        """Checkpoints that are being deleted because nobody needs them."""
        self.needed: Callable[[str], Iterable[str]] = lambda _tenant: ()
        """Names the checkpoints that a tenant's sessions would be brought back from, or just are."""

    async def keep(self, record: CheckpointRecord, manifest: Manifest) -> None:
        """Make a checkpoint durable, whose chunks are. RequestIdReusedError."""
        packed = await asyncio.to_thread(manifest.pack)
        key = _key(record.tenant, record.checkpoint_id)
        self.chunks.claims.claim(
            [key]
        )  # until its row is there only this says that it is needed, whatever the clocks
        try:
            await self._blobs.put({key: packed})
        except BlobStoreError as error:
            raise _unavailable() from error
        await self._catalog.put_checkpoint(record)

    async def update(self, record: CheckpointRecord) -> None:
        """Write what is known of a kept checkpoint anew. :class:`CheckpointNotFoundError` where it was deleted."""
        async with self._rows:
            await self.get(record.tenant, record.checkpoint_id)
            await self._catalog.put_checkpoint(record)

    async def get(self, tenant: str, checkpoint_id: str) -> CheckpointRecord:
        """Return a checkpoint. :class:`CheckpointNotFoundError`."""
        going = (tenant, checkpoint_id) in self._going
        record = None if going else await self._catalog.get_checkpoint(tenant, checkpoint_id)
        if record is None:
            raise _not_found(checkpoint_id)
        return record

    async def made_by(self, tenant: str, request_id: str) -> CheckpointRecord | None:
        """Return the checkpoint that a request made, or None."""
        return await self._catalog.get_checkpoint_by_request(tenant, request_id)

    async def manifest(self, record: CheckpointRecord) -> Manifest:
        """Return a checkpoint's content. :class:`CheckpointCorruptError` where it is missing or damaged."""
        try:
            packed = await self._blobs.get(_key(record.tenant, record.checkpoint_id))
        except BlobNotFoundError:
            raise CheckpointCorruptError(
                "the checkpoint's manifest is missing; nothing was changed"
            ) from None
        except BlobStoreError as error:
            raise _unavailable() from error
        return await asyncio.to_thread(Manifest.unpack, packed)

    async def list(
        self, tenant: str, session_id: str, limit: int, after: CheckpointKey | None = None
    ) -> Sequence[CheckpointRecord]:
        """Return a page of a session's checkpoints, newest first; of all sessions where the id is empty."""
        return await self._catalog.list_checkpoints(tenant, session_id, limit=limit, after=after)

    async def of_session(self, tenant: str, session_id: str) -> Sequence[CheckpointRecord]:
        """Return a session's newest checkpoints, newest first."""
        return await self.list(tenant, session_id, _PAGE)

    async def delete(self, tenant: str, checkpoint_id: str) -> None:
        """Forget a checkpoint; its chunks go with a later collection. :class:`CheckpointNotFoundError`."""
        async with self._rows:
            if await self._catalog.get_checkpoint(tenant, checkpoint_id) is None:
                raise _not_found(checkpoint_id)
            await self._catalog.delete_checkpoint(tenant, checkpoint_id)
        try:
            await self._blobs.delete([_key(tenant, checkpoint_id)])
        except BlobStoreError as error:
            raise _unavailable() from error

    async def thin_out(self, tenant: str, session_id: str, keep: int) -> int:
        """Delete a session's automatic checkpoints but the newest ``keep``; those that a client made stay.

        So do those that some session would be brought back from, or is just being brought back from: returns how many.
        """
        automatic = stays = 0
        async for record in self._all(tenant, session_id):
            automatic += record.automatic
            if record.automatic and automatic > keep and not await self._delete_unneeded(record):
                stays += 1
        return stays

    async def _delete_unneeded(self, record: CheckpointRecord) -> bool:
        """Delete a checkpoint if no session needs it; return whether it is gone."""
        name = record.tenant, record.checkpoint_id
        if record.checkpoint_id in self.needed(record.tenant):
            return False
        self._going.add(name)  # in the same breath: who needs it from now on does not find it any more
        try:
            with contextlib.suppress(CheckpointNotFoundError):  # by somebody else, meanwhile
                await self.delete(*name)
        finally:
            self._going.discard(name)
        return True

    async def saved_unasked(self) -> set[tuple[str, str]]:
        """Return the sessions that have automatic checkpoints, by tenant and id."""
        return {
            (tenant, record.session_id)
            for tenant in await self._catalog.checkpoint_tenants()
            async for record in self._all(tenant)
            if record.automatic
        }

    async def _all(self, tenant: str, session_id: str = "") -> AsyncIterator[CheckpointRecord]:
        """Yield all checkpoints of a session, or of a tenant, newest first."""
        after = None
        while page := await self.list(tenant, session_id, _PAGE, after):
            for record in page:
                yield record
            if len(page) < _PAGE:
                return
            after = CheckpointKey(page[-1].create_time, page[-1].checkpoint_id)

    async def collect(self, grace_seconds: float = GRACE_SECONDS) -> Collected:
        """Remove what no checkpoint refers to, of all tenants, if it is older than the grace.

        A manifest that cannot be read keeps every chunk of its tenant: nothing is removed on a guess. It is raised once
        the other tenants are done with.
        """
        async with self._collecting:
            total = Collected()
            damaged: CheckpointCorruptError | None = None
            for tenant in await self._catalog.checkpoint_tenants():
                try:
                    part = await self._collect_tenant(tenant, grace_seconds)
                except CheckpointCorruptError as error:
                    damaged = error
                    continue
                total = Collected(
                    total.manifests + part.manifests,
                    total.chunks + part.chunks,
                    total.freed_bytes + part.freed_bytes,
                )
            if damaged is not None:
                raise damaged
            return total

    async def _collect_tenant(self, tenant: str, grace_seconds: float) -> Collected:
        before = self._clock.now().timestamp() - grace_seconds
        try:
            # Blobs are listed before rows are read: a checkpoint that is finished meanwhile has its row by then. Of one
            # that is not, its chunks and its manifest are claimed.
            chunks = [info async for info in self._blobs.list(f"{tenant}/chunks") if info.modified < before]
            manifests = [
                info async for info in self._blobs.list(f"{tenant}/manifests") if info.modified < before
            ]
            known = {_key(tenant, record.checkpoint_id): record async for record in self._all(tenant)}
            stray = [info for info in manifests if info.key not in known]
            used: set[str] = set()
            for record in known.values():
                used.update(await self._chunks_of(record))
            unused = [info for info in chunks if info.key.rpartition("/")[2] not in used]
            gone: set[str] = set()
            for found in (stray, unused):
                for first in range(0, len(found), _DELETE_AT_ONCE):
                    keys = [info.key for info in found[first : first + _DELETE_AT_ONCE]]
                    gone.update(await self.chunks.drop(keys, grace_seconds))
        except BlobStoreError as error:
            raise _unavailable() from error
        freed = sum(info.size_bytes for info in (*stray, *unused) if info.key in gone)
        removed = [info for info in unused if info.key in gone]
        return Collected(len(gone) - len(removed), len(removed), freed)

    async def _chunks_of(self, record: CheckpointRecord) -> Iterable[str]:
        """Return what a checkpoint needs: nothing, where it was deleted meanwhile."""
        try:
            return {name for name, _ in (await self.manifest(record)).chunks()}
        except CheckpointCorruptError:
            if await self._catalog.get_checkpoint(record.tenant, record.checkpoint_id) is None:
                return ()
            raise


def _key(tenant: str, checkpoint_id: str) -> str:
    return f"{tenant}/manifests/{checkpoint_id}"


def _not_found(checkpoint_id: str) -> CheckpointNotFoundError:
    return CheckpointNotFoundError(f"there is no checkpoint {checkpoint_id}", resource=checkpoint_id)


def _unavailable() -> StoreUnavailableError:
    return StoreUnavailableError("the store of checkpoints cannot be reached", retry_delay=5.0)
