"""The stores that the contract holds for: a directory, and a bucket behind a real HTTP server that speaks S3."""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import boto3
import pytest
from sandbank_server.blobs.base import BlobStore
from sandbank_server.blobs.directory import DirectoryBlobs
from sandbank_server.blobs.s3 import S3Blobs


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A server on loopback, on a port of the system's choosing."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as server:
        assert server.stderr is not None
        for line in server.stderr:
            found = re.search(r"Running on (http://127\.0\.0\.1:\d+)", line)
            if found is not None:
                break
        else:
            raise AssertionError("the S3 server did not start")
        # What it logs from now on nobody reads; a full pipe would stop it.
        drain = subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
        yield found[1]
        server.terminate()
        server.wait(20)
        drain.wait(20)


@pytest.fixture
def bucket(s3_endpoint: str) -> str:
    """A fresh bucket."""
    name = f"bucket-{secrets.token_hex(8)}"
    client = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    client.create_bucket(Bucket=name)
    client.close()
    return name


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
