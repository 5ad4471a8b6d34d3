"""Taking a checkpoint in: what a writer gives while it describes, and what a hostile one may not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sandbank_server.blobs.directory import DirectoryBlobs
from sandbank_server.checkpoints import transfer
from sandbank_server.checkpoints.chunks import ChunkStore, name_of
from sandbank_server.checkpoints.manifest import Manifest
from sandbank_server.checkpoints.transfer import Taken, WriterFailed, take_in
from sandbank_server.runners.frames import RunnerViolation

TENANT = "default"
CONTENTS = [bytes([number]) * 1000 for number in range(4)]
NAMES = [name_of(data) for data in CONTENTS]
MANIFEST: dict[str, Any] = {
    "type": "manifest",
    "ambient": {},
    "packages": {},
    "python": "3.13.5",
    "execution_count": 1,
}


class Script:
    """A stream whose other end says what a test wrote down. ``heard``: what it was told."""

    def __init__(self, *frames: dict[str, Any] | bytes) -> None:
        self._frames = [{"type": "writer", "base": ""}, *frames]
        self.heard: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any] | bytes:
        return self._frames.pop(0)

    async def header(self, *kinds: str) -> dict[str, Any]:
        frame = await self.receive()
        assert isinstance(frame, dict)
        assert frame["type"] in kinds
        return frame

    async def send_header(self, header: dict[str, Any]) -> None:
        self.heard.append(header)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ChunkStore]:
    """An empty store in a directory."""
    blobs = DirectoryBlobs(tmp_path)
    yield ChunkStore(blobs)
    await blobs.close()


def offer(*numbers: int) -> dict[str, Any]:
    """Offer contents by number."""
    return {"type": "offer", "chunks": [[NAMES[number], 1000] for number in numbers]}


def file(*numbers: int, **fields: Any) -> dict[str, Any]:
    """Tell of a file that consists of these contents."""
    return {
        "type": "file",
        "path": "f",
        "mode": 0o100644,
        "mtime_ns": 1,
        "size": 1000 * len(numbers),
        "sha256": NAMES[0] if numbers else "",
        "link": None,
        "chunks": [[NAMES[number], 1000] for number in numbers],
        "signature": [],
        "lost": "",
        **fields,
    }


async def take(script: Script, store: ChunkStore) -> Taken:
    """Talk to the script."""

    async def no_base(_checkpoint_id: str) -> Manifest | None:
        return None

    return await take_in(script, store, TENANT, no_base)  # type: ignore[arg-type]


async def test_what_was_offered_is_not_asked_for_again(store: ChunkStore) -> None:
    """Only what the store lacks of it is given, once; the rest comes in the end; all of it is durable then."""
    await store.put(TENANT, {NAMES[1]: CONTENTS[1]})
    script = Script(
        offer(0, 1), CONTENTS[0], offer(0, 2), CONTENTS[2], file(0, 1, 2, 3), MANIFEST, CONTENTS[3]
    )
    taken = await take(script, store)
    needs = [each["chunks"] for each in script.heard if each["type"] == "need"]
    assert needs == [[NAMES[0]], [NAMES[2]], [NAMES[3]]]
    assert await store.lacking(TENANT, NAMES) == []
    assert taken.manifest.size_bytes == 4000


async def test_a_file_that_is_lost_is_known_by_its_reason(store: ChunkStore) -> None:
    """It is shown to clients, and nothing of it is read back."""
    taken = await take(Script(offer(0), CONTENTS[0], file(lost="it moves"), MANIFEST), store)
    (shown,) = taken.manifest.file_messages()
    assert (shown.path, shown.reason, shown.sha256) == ("f", "it moves", "")
    assert taken.manifest.lost_files() == ["f"]
    assert list(taken.manifest.chunks()) == []
    assert Manifest.unpack(taken.manifest.pack()).lost_files() == ["f"]


def test_manifests_of_before_have_no_word_of_lost_files() -> None:
    """Theirs are all saved."""
    old = Manifest(files=[{key: value for key, value in file(0).items() if key not in ("type", "lost")}])
    (shown,) = Manifest.unpack(old.pack()).file_messages()
    assert (shown.path, shown.reason) == ("f", "")


@pytest.mark.parametrize(
    "frames",
    [
        (offer(0, 1, 2),),
        (offer(0, 1), CONTENTS[0], CONTENTS[1], offer(2)),
        (offer(0), b"short"),
        (offer(0), CONTENTS[1]),
        ({"type": "offer", "chunks": [["x", 1]]},),
        ({"type": "offer"},),
        (file(0, lost="and yet it is there"),),
        (file(lost=7),),
        (file(lost="x" * 501),),
    ],
    ids=[
        "many",
        "many-in-all",
        "length",
        "bytes",
        "name",
        "none",
        "lost-and-not",
        "no-reason",
        "long-reason",
    ],
)
async def test_what_no_honest_writer_says_is_no_checkpoint(
    store: ChunkStore, monkeypatch: pytest.MonkeyPatch, frames: tuple[Any, ...]
) -> None:
    """Offers are bounded, and checked as everything else."""
    monkeypatch.setattr(transfer, "CHUNKS", 2)
    with pytest.raises(RunnerViolation):
        await take(Script(*frames, MANIFEST), store)


async def test_a_writer_may_fail_over_an_offer(store: ChunkStore) -> None:
    """Its reason is what counts."""
    with pytest.raises(WriterFailed, match="no more"):
        await take(Script(offer(0), {"type": "failed", "reason": "INTERNAL", "message": "no more"}), store)
