"""Blobs in an object store that speaks S3."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store

from sandbank_server.blobs.base import BlobInfo, BlobNotFoundError, BlobStoreError, check_key

_AT_ONCE: Final = 16
"""Requests in flight: a store answers in tens of milliseconds, and has many hands."""

_REQUEST_SECONDS: Final = 30
_RETRIES: Final = 3


class S3Blobs:
    """A :class:`BlobStore` in one bucket, which must exist; an object that was acknowledged is durable."""

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str = "",
        endpoint: str = "",
        region: str = "",
        access_key_id: str = "",
        secret_access_key: str = "",
    ) -> None:
        """Credentials that are empty come from the environment or the machine's role.

        ``endpoint``: for stores other than Amazon's, as ``http://host:port``; plain http only where it says so.
        """
        options: dict[str, Any] = {
            "region": region or "us-east-1",
            "endpoint": endpoint,
            "access_key_id": access_key_id,
            "secret_access_key": secret_access_key,
        }
        self._store = S3Store(
            bucket,
            prefix=prefix or None,
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "timeout": timedelta(seconds=_REQUEST_SECONDS),
            },
            retry_config={"max_retries": _RETRIES},
            **{name: value for name, value in options.items() if value},
        )
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def put(self, blobs: Mapping[str, bytes]) -> None:
        """See :class:`BlobStore`."""
        await asyncio.gather(*(self._put(check_key(key), data) for key, data in blobs.items()))

    async def get(self, key: str) -> bytes:
        """See :class:`BlobStore`."""
        async with self._free:
            try:
                found = await obstore.get_async(self._store, check_key(key))
                return bytes(await found.bytes_async())
            except (NotFoundError, FileNotFoundError):
                raise BlobNotFoundError(key) from None
            except (BaseError, OSError) as error:
                raise _unavailable(error) from error

    async def present(self, keys: Iterable[str]) -> set[str]:
        """See :class:`BlobStore`."""
        asked = list(keys)
        found = await asyncio.gather(*map(self._is_present, asked))
        return {key for key, there in zip(asked, found, strict=True) if there}

    async def delete(self, keys: Iterable[str]) -> None:
        """See :class:`BlobStore`."""
        await asyncio.gather(*(self._delete(check_key(key)) for key in keys))

    async def list(self, prefix: str) -> AsyncIterator[BlobInfo]:
        """See :class:`BlobStore`."""
        try:
            async for page in obstore.list(self._store, f"{check_key(prefix)}/"):
                for each in page:
                    yield BlobInfo(each["path"], each["size"], each["last_modified"].timestamp())
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    async def close(self) -> None:
        """See :class:`BlobStore`: the library's connections end with the object."""

    async def _put(self, key: str, data: bytes) -> None:
        async with self._free:
            try:
                await obstore.put_async(self._store, key, data)
            except (BaseError, OSError) as error:
                raise _unavailable(error) from error

    async def _is_present(self, key: str) -> bool:
        async with self._free:
            try:
                await obstore.head_async(self._store, check_key(key))
            except (NotFoundError, FileNotFoundError):
                return False
            except (BaseError, OSError) as error:
                raise _unavailable(error) from error
            return True

    async def _delete(self, key: str) -> None:
        async with self._free:
            try:
                await obstore.delete_async(self._store, key)
            except (NotFoundError, FileNotFoundError):
                return
            except (BaseError, OSError) as error:
                raise _unavailable(error) from error


def _unavailable(error: Exception) -> BlobStoreError:
    # The library's texts are long and may quote the request: the kind is enough for the log's line.
    return BlobStoreError(f"the object store: {type(error).__name__}: {str(error)[:300]}")
