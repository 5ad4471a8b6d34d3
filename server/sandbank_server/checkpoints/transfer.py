"""The two conversations about state: taking a checkpoint in from a writer, and handing one out to a loader.

Memory stays flat: chunks pass a few at a time, each checked against its name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from sandbank_server.checkpoints.chunks import ChunkStore, WrongChunkError
from sandbank_server.checkpoints.manifest import Manifest, ManifestBuilder
from sandbank_server.runners.frames import RunnerViolation
from sandbank_server.runners.state_stream import StateStream

_NAMES_AT_ONCE: Final = 50_000
"""Chunk names in one ``need``: 67 bytes each, half the bound of a header."""

_BATCH_BYTES: Final = 8 << 20
"""Chunks that are put together: a store has many hands, and syncs a directory once for all of them."""

_BATCH_CHUNKS: Final = 64


FindBase = Callable[[str], Awaitable[Manifest | None]]
"""Finds the manifest that a writer counts its changes from; None where it is gone, or not this session's."""


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


async def take_in(stream: StateStream, store: ChunkStore, tenant: str, find_base: FindBase) -> Taken:
    """Talk to a writer until all chunks of its checkpoint are durable; ``stored`` is still to be said.

    Raises what :class:`StateStream` and :class:`ChunkStore` raise.
    """
    hello = await stream.header("writer")
    base = hello.get("base")
    known = await find_base(base) if isinstance(base, str) and base else None
    await _tell_base(stream, known)
    builder = ManifestBuilder()
    while (header := await stream.header("group", "file", "manifest"))["type"] != "manifest":
        if header["type"] == "group":
            builder.add_group(header)
        else:
            builder.add_file(header)
    manifest = builder.finish(header)
    lengths = dict(manifest.chunks())
    lacking = await store.lacking(tenant, list(lengths))
    for first in range(0, len(lacking), _NAMES_AT_ONCE):
        await stream.send_header({"type": "need", "chunks": lacking[first : first + _NAMES_AT_ONCE]})
    await stream.send_header({"type": "needed"})
    new_bytes = 0
    batch: dict[str, bytes] = {}
    size = 0
    for name in lacking:
        data = await stream.receive()
        if not isinstance(data, bytes) or len(data) != lengths[name]:
            raise RunnerViolation("not the chunk that was asked for")
        batch[name] = data
        size += len(data)
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_CHUNKS:
            new_bytes += await _put(store, tenant, batch)
            batch, size = {}, 0
    new_bytes += await _put(store, tenant, batch)
    return Taken(manifest, new_bytes)


async def hand_out(
    stream: StateStream,
    store: ChunkStore,
    tenant: str,
    manifest: Manifest,
    *,
    allow_lost: bool,
    verify: bool = False,
) -> dict[str, Any]:
    """Talk to a loader until it has everything; return its ``loaded``. :class:`LoadRefused`."""
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
            "operation": manifest.operation,
        }
    )
    for group in manifest.groups:
        await stream.send_header({"type": "group", **group})
    for file in manifest.files:
        await stream.send_header({"type": "file", **file})
    await stream.send_header({"type": "chunks_follow"})
    async for data in store.read(tenant, (name for name, _ in manifest.chunks())):
        await stream.send_data(data)
    answer = await stream.header("loaded", "refused")
    if answer["type"] == "refused":
        raise LoadRefused(str(answer.get("reason"))[:100], str(answer.get("message"))[:500])
    return answer


async def _tell_base(stream: StateStream, base: Manifest | None) -> None:
    if base is not None:
        try:
            await stream.send_header({"type": "begin", "groups": base.groups, "files": base.files})
        except ValueError:  # over a header's bound: everything is written anew then
            pass
        else:
            return
    await stream.send_header(_NO_BASE)


_NO_BASE: Final[dict[str, Any]] = {"type": "begin", "groups": None, "files": None}


async def _put(store: ChunkStore, tenant: str, batch: dict[str, bytes]) -> int:
    if not batch:
        return 0
    try:
        return await store.put(tenant, batch)
    except WrongChunkError as error:
        raise RunnerViolation("a chunk that is not what its name says") from error
