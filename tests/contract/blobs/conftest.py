"""The stores that the contract holds for: a directory, and a bucket behind a real HTTP server that speaks S3."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sandbank_server.blobs.base import BlobStore
from sandbank_server.blobs.directory import DirectoryBlobs
from sandbank_server.blobs.s3 import S3Blobs

from tests.s3_server import make_bucket, s3_server


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A server on loopback, on a port of the system's choosing."""
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3_endpoint: str) -> str:
    """A fresh bucket."""
    return make_bucket(s3_endpoint)


@pytest.fixture(params=["directory", "s3"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BlobStore]:
    """An empty store."""
    made: BlobStore
    if request.param == "directory":
        made = DirectoryBlobs(tmp_path / "blobs")
    else:
        endpoint, name = request.getfixturevalue("s3_endpoint"), request.getfixturevalue("bucket")
        made = S3Blobs(
            name, prefix="here", endpoint=endpoint, access_key_id="key", secret_access_key="secret"
        )
    yield made
    await made.close()
