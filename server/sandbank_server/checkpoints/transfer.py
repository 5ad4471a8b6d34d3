"""The two conversations about state: taking a checkpoint in from a writer, and handing one out to a loader.

Memory stays flat: chunks pass a few at a time, each checked against its name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Self

from sandbank_server.checkpoints.chunks import ChunkStore, WrongChunkError
from sandbank_server.checkpoints.manifest import CHUNKS, Manifest, ManifestBuilder, chunk_list, lost
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.runners.link import LinkClosed
from sandbank_server.runners.state_stream import StateStream

_NAMES_AT_ONCE: Final = 50_000
"""Chunk names in one ``need``: 67 bytes each, half the bound of a header."""

_BATCH_BYTES: Final = 8 << 20
"""Chunks that are put together: a store has many hands, and syncs a directory once for all of them."""

_BATCH_CHUNKS: Final = 64
_STUCK_NAMES: Final = 1000


FindBase = Callable[[str], Awaitable[Manifest | None]]
"""Finds the manifest that a writer counts its changes from; None where it is gone, or not this session's."""


class WriterFailed(Exception):
    """There is no checkpoint: the writer says why."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class LoadRefused(Exception):
    """The loader cannot take the state; ``reason`` is one of the public table."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Taken:
    """A checkpoint whose chunks are durable. ``new_bytes``: what the store lacked, as it is kept there."""

    manifest: Manifest
    new_bytes: int


class WriterStuck(Exception):
    """The writer ended, or said nothing more, when it was at ``names``: another one may go on without these."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(", ".join(names)[:200])
        self.names = names


async def take_in(
    stream: StateStream,
    store: ChunkStore,
    tenant: str,
    find_base: FindBase,
    *,
    skip: Sequence[str] = (),
    digests: bool = False,
) -> Taken:
    """Talk to a writer until all chunks of its checkpoint are durable; ``stored`` is still to be said.

    ``skip``: variables at which earlier writers got stuck. :class:`WriterStuck`, :class:`WriterFailed`, and what
    :class:`StateStream` and :class:`ChunkStore` raise.
    """
    hello = await stream.header("writer")
    named = hello.get("base")
    base = await find_base(named) if isinstance(named, str) and named else None
    there = set() if base is None else {name for name, _ in base.chunks()}
    if base is not None and await store.lacking(tenant, list(there)):
        base, there = None, set()  # what is kept of it could not be had from the writer
    await stream.send_header(
        {"type": "begin", "known": base is not None, "skip": list(skip), "digests": digests}
    )
    if base is not None:
        await _tell(stream, base)
        await stream.send_header({"type": "known_ends"})
    async with _Putting(store, tenant) as putting:
        offers = _Offers(stream, store, tenant, putting)
        manifest = await _describe(stream, ManifestBuilder(base), offers)
        lengths = dict(manifest.chunks())
        there |= offers.taken
        lacking = await store.lacking(tenant, [name for name in lengths if name not in there])
        for first in range(0, len(lacking), _NAMES_AT_ONCE):
            await stream.send_header({"type": "need", "chunks": lacking[first : first + _NAMES_AT_ONCE]})
        await stream.send_header({"type": "needed"})
        await _receive(stream, lacking, lengths, putting)
        return Taken(manifest, await putting.finish())


class _Offers:
    """What a writer gives while it describes: contents of files, which may be others when they are read again.

    Those of a file that turns out not to hold still are in no manifest then, and are collected.
    """

    def __init__(self, stream: StateStream, store: ChunkStore, tenant: str, putting: _Putting) -> None:
        self.taken: set[str] = set()
        """Chunks that are in the store, or will be when the putting is finished."""
        self._stream = stream
        self._store = store
        self._tenant = tenant
        self._putting = putting
        self._count = 0

    async def take(self, header: Mapping[str, Any]) -> None:
        """Take an ``offer``: ask for what the store lacks of it."""
        lengths = dict(chunk_list(header.get("chunks")))
        self._count += len(lengths)
        if self._count > CHUNKS:
            raise RunnerViolation("too many chunks")
        lacking = await self._store.lacking(
            self._tenant, [name for name in lengths if name not in self.taken]
        )
        await self._stream.send_header({"type": "need", "chunks": lacking})
        await _receive(self._stream, lacking, lengths, self._putting)
        self.taken.update(lengths)


async def _receive(
    stream: StateStream, names: Sequence[str], lengths: Mapping[str, int], putting: _Putting
) -> None:
    for name in names:
        data = await stream.receive()
        if not isinstance(data, bytes):
            raise _failed(data)
        if len(data) != lengths[name]:
            raise RunnerViolation("not the chunk that was asked for")
        await putting.add(name, data)


class _Putting:
    """Puts chunks together while the next ones come: no more than two batches are in memory."""

    def __init__(self, store: ChunkStore, tenant: str) -> None:
        self._store = store
        self._tenant = tenant
        self._batch: dict[str, bytes] = {}
        self._size = 0
        self._under_way: asyncio.Task[int] | None = None
        self._new_bytes = 0

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Leave nothing under way."""
        if self._under_way is not None:
            self._under_way.cancel()
            await asyncio.gather(self._under_way, return_exceptions=True)

    async def add(self, name: str, data: bytes) -> None:
        """Take a chunk; wait while the batch before this one is still being put."""
        self._batch[name] = data
        self._size += len(data)
        if self._size >= _BATCH_BYTES or len(self._batch) >= _BATCH_CHUNKS:
            await self._next()

    async def finish(self) -> int:
        """Wait until all is durable; return how many bytes the store has kept."""
        await self._next()
        await self._next()
        return self._new_bytes

    async def _next(self) -> None:
        if self._under_way is not None:
            self._new_bytes += await self._under_way
            self._under_way = None
        if self._batch:
            self._under_way = asyncio.create_task(_put(self._store, self._tenant, self._batch))
            self._batch, self._size = {}, 0


async def _describe(stream: StateStream, builder: ManifestBuilder, offers: _Offers) -> Manifest:
    """Hear the description to its end."""
    at: list[str] = []
    while True:
        try:
            header = await stream.header("at", "group", "file", "offer", "manifest", "failed")
        except (LinkClosed, TimeoutError) as error:
            if at:
                raise WriterStuck(at) from error
            raise
        kind = header["type"]
        if kind == "at":
            names = header.get("names")
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise RunnerViolation("names that are none")
            at = names[:_STUCK_NAMES]
        elif kind == "group":
            builder.add_group(header)
        elif kind == "file":
            builder.add_file(header)
        elif kind == "offer":
            await offers.take(header)
        elif kind == "failed":
            raise _failed(header)
        else:
            return builder.finish(header)


async def hand_out(
    stream: StateStream,
    store: ChunkStore,
    tenant: str,
    manifest: Manifest,
    *,
    allow_lost: bool,
    verify: bool = False,
    checkpoint_id: str = "",
) -> dict[str, Any]:
    """Talk to a loader until it has everything; return its ``loaded``. :class:`LoadRefused`."""
    store.claim(tenant, (name for name, _ in manifest.chunks(with_files=not verify)))
    await stream.header("loader")
    await stream.send_header(
        {
            "type": "begin",
            "allow_lost": allow_lost,
            "verify": verify,
            "ambient": manifest.ambient,
            "python": manifest.python,
            "packages": manifest.packages,
            "execution_count": manifest.execution_count,
            "checkpoint_id": checkpoint_id,
        }
    )
    await _tell(stream, manifest)
    await stream.send_header({"type": "chunks_follow"})
    wanted = (name for name, _ in manifest.chunks(with_files=not verify))
    answered = asyncio.ensure_future(stream.header("loaded", "refused"))
    try:
        async with aclosing(store.read(tenant, wanted)) as chunks:
            async for data in chunks:
                if answered.done():  # it may refuse before it has taken all
                    break
                try:
                    await stream.send_data(data)
                except LinkClosed:
                    break  # nobody takes the rest; the answer may have come all the same
        answer = await answered
    finally:
        answered.cancel()
        await asyncio.gather(answered, return_exceptions=True)
    if answer["type"] == "refused":
        raise LoadRefused(str(answer.get("reason"))[:100], str(answer.get("message"))[:500])
    return answer


async def _tell(stream: StateStream, manifest: Manifest) -> None:
    for group in manifest.groups:
        await stream.send_header({"type": "group", **group})
    for file in manifest.files:
        if not lost(file):
            await stream.send_header({"type": "file", **file})


def _failed(header: Mapping[str, Any]) -> Exception:
    if header.get("type") != "failed":
        return RunnerViolation("a chunk was due")
    return WriterFailed(str(header.get("reason"))[:100], str(header.get("message"))[:500])


async def _put(store: ChunkStore, tenant: str, batch: dict[str, bytes]) -> int:
    if not batch:
        return 0
    try:
        return await store.put(tenant, batch)
    except WrongChunkError as error:
        raise RunnerViolation("a chunk that is not what its name says") from error
