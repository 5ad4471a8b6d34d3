"""From the settings to a blob store."""

from __future__ import annotations

from pathlib import Path

from sandbank_server.blobs.base import BlobStore
from sandbank_server.blobs.directory import DirectoryBlobs
from sandbank_server.blobs.s3 import S3Blobs
from sandbank_server.configuration.groups import Checkpoints

_SCHEME = "s3://"


def open_blobs(settings: Checkpoints, data_dir: Path) -> BlobStore:
    """Return the store of checkpoints. OSError where its directory cannot be made."""
    if not settings.store.startswith(_SCHEME):
        return DirectoryBlobs(Path(settings.store) if settings.store else data_dir / "checkpoints")
    bucket, _, prefix = settings.store.removeprefix(_SCHEME).partition("/")
    return S3Blobs(
        bucket,
        prefix=prefix.strip("/"),
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=settings.s3_secret_access_key.get_secret_value(),
    )
