"""What every blob store promises."""

from __future__ import annotations

import os
import time

import pytest
from sandbank_server.blobs.base import BlobNotFoundError, BlobStore


async def test_what_was_put_comes_back(store: BlobStore) -> None:
    """Byte for byte, empty and large ones too, and several at once."""
    blobs = {"a/one": b"1", "a/empty": b"", "a/b/large": os.urandom(3 << 20)}
    await store.put(blobs)
    for key, data in blobs.items():
        assert await store.get(key) == data


async def test_the_newest_content_counts(store: BlobStore) -> None:
    """Putting again replaces."""
    await store.put({"a/one": b"old"})
    await store.put({"a/one": b"new"})
    assert await store.get("a/one") == b"new"


async def test_what_is_not_there_is_said_so(store: BlobStore) -> None:
    """Also the name of what is a directory of others."""
    await store.put({"a/b/one": b"1"})
    for key in ("a/other", "nothing", "a/b"):
        with pytest.raises(BlobNotFoundError):
            await store.get(key)


async def test_presence_is_asked_for_many_at_once(store: BlobStore) -> None:
    """Those that are there, and no others."""
    await store.put({f"a/{number}": b"x" for number in range(40)})
    asked = [f"a/{number}" for number in range(20, 60)]
    assert await store.present(asked) == {f"a/{number}" for number in range(20, 40)}
    assert await store.present([]) == set()


async def test_deleted_is_gone_and_deleting_again_is_no_error(store: BlobStore) -> None:
    """The others stay."""
    await store.put({"a/one": b"1", "a/two": b"2"})
    await store.delete(["a/one", "a/never"])
    await store.delete(["a/one"])
    assert await store.present(["a/one", "a/two"]) == {"a/two"}


async def test_a_listing_has_what_lies_under_the_prefix(store: BlobStore) -> None:
    """With sizes and times, and not what merely begins alike."""
    began = time.time()
    await store.put({"t/a/1": b"1", "t/a/b/2": b"22", "t/ab": b"no", "u/1": b"no"})
    found = [info async for info in store.list("t/a")]
    assert {info.key: info.size_bytes for info in found} == {"t/a/1": 1, "t/a/b/2": 2}
    assert all(abs(info.modified - began) < 120 for info in found)
    assert [info async for info in store.list("nothing")] == []


@pytest.mark.parametrize(
    "key",
    ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.b", ".a", "a b", "a/ü", "a" * 200, "/".join("abcdefghi")],
)
async def test_what_is_no_key_is_refused(store: BlobStore, key: str) -> None:
    """Nothing leads out of the store."""
    with pytest.raises(ValueError, match="not a key"):
        await store.put({key: b""})
    with pytest.raises(ValueError, match="not a key"):
        await store.get(key)
