"""Stores that are full, gone, or were left in the middle of something."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbank_server.blobs.base import BlobStoreError
from sandbank_server.blobs.directory import DirectoryBlobs
from sandbank_server.blobs.s3 import S3Blobs


async def test_a_kill_while_writing_leaves_each_whole_or_absent(tmp_path: Path) -> None:
    """And what was half-written is removed with the next start."""
    _write_until_killed(tmp_path)
    store = DirectoryBlobs(tmp_path)
    found = [info async for info in store.list("a")]
    assert len(found) >= 20
    assert {info.size_bytes for info in found} == {300_000}
    assert os.listdir(tmp_path / ".incoming") == []
    await store.close()


def _write_until_killed(directory: Path) -> None:
    code = textwrap.dedent(
        f"""
        import asyncio, os
        from pathlib import Path
        from sandbank_server.blobs.directory import DirectoryBlobs
        async def main():
            store = DirectoryBlobs(Path({str(directory)!r}))
            print("ready", flush=True)
            number = 0
            while True:
                await store.put({{f"a/{{number}}-{{part}}": bytes([part]) * 300_000 for part in range(8)}})
                number += 1
        asyncio.run(main())
        """
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        while len(list(directory.glob("a/*"))) < 20:
            assert writer.poll() is None
        writer.kill()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


async def test_a_full_disk_is_told_and_leaves_nothing(small_disk: Path) -> None:
    """The batch that does not fit is absent, what was there stays."""
    store = DirectoryBlobs(small_disk)
    await store.put({"a/kept": b"1" * 1000})
    with pytest.raises(BlobStoreError, match="No space left"):
        await store.put({"a/small": b"2", "a/large": os.urandom(2 << 20)})
    assert await store.present(["a/kept", "a/small", "a/large"]) == {"a/kept"}
    await store.put({"a/fits": b"3" * 100_000})
    await store.close()


async def test_a_store_that_is_not_there_is_told(s3_endpoint: str) -> None:
    """No bucket, and nobody at the address: an error that names the kind, no endless wait."""
    absent = S3Blobs("no-such-bucket", endpoint=s3_endpoint, access_key_id="key", secret_access_key="secret")
    with pytest.raises(BlobStoreError, match="object store"):
        await absent.put({"a": b""})
    nobody = S3Blobs("b", endpoint="http://127.0.0.1:1", access_key_id="key", secret_access_key="secret")
    with pytest.raises(BlobStoreError, match="object store"):
        await nobody.get("a")
